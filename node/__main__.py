"""`maybe-node`: the agent, and a few words to it."""

import argparse
import asyncio
import gc
import os
import shlex
import signal
import sys

import structlog

from node.errors import NodeConfigurationError, NodeError
from node.settings import DATA_DIR, VARIABLES, Settings, read_settings
from node.state.agent_lock import is_running
from shared.logs import configure
from shared.tasks import leaves
from shared.version import listed, program_version

COMMANDS = {
    "run": "run the agent until SIGTERM or Ctrl-C (the default); its proxies go on",
    "stop": "end every proxy of NODE_DATA_DIR, also when that directory was removed",
    "upgrade-engine": "move all proxies into processes with the installed code; no connection is lost",
    "health": "exit with 0 while the agent runs, with 1 otherwise",
    "doctor": "examine this node and its host; exit with 0 without a problem, with 1 otherwise",
    "whois": "name the proxy that used the random IPv6 exit ADDRESS; exit with 1 when none did",
    "forget": "delete this node's identity; the next start waits to be enrolled. `stop` ends its proxies",
}


def main() -> None:
    """Exit codes: 0 done, 1 it could not be done or the doctor found a problem, 2 bad configuration."""
    arguments = parser().parse_args()
    if arguments.command == "doctor":
        sys.exit(look(to_program=arguments.json))
    code = 0
    try:
        settings = read_settings(os.environ)
        configure(settings.log_level)
        if arguments.command == "whois":
            tell_owner(settings, arguments.address or "")
        else:
            code = asyncio.run(obey(arguments.command, settings))
    except* NodeError as group:
        for error in leaves(group):
            print(f"maybe-node: {error}", file=sys.stderr)
            code = max(code, 2 if isinstance(error, NodeConfigurationError) else 1)
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Of the commands."""
    text = "commands:\n" + "\n".join(f"  {name:14} {what}" for name, what in COMMANDS.items())
    made = argparse.ArgumentParser(
        prog="maybe-node",
        description="The agent of a node: runs the proxies that its master orders, also while the master is away.\n\n"
        f"Settings come from the environment. All are optional:\n{listed(VARIABLES)}",
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--version", action="version", help="print the version and exit", version=f"%(prog)s {program_version()}"
    )
    made.add_argument("command", nargs="?", default="run", choices=COMMANDS, metavar="COMMAND", help="see below")
    made.add_argument("address", nargs="?", metavar="ADDRESS", help="whois: an exit address")
    made.add_argument("--json", action="store_true", help="doctor: print the findings as JSON")
    return made


def tell_owner(settings: Settings, address: str) -> None:
    """Print whose a random exit address was. Raises NodeError."""
    from node.commands.whois import whois

    for trace in whois(settings, address):
        print(trace)


def look(*, to_program: bool) -> int:
    """Print what the doctor finds; answers the exit code."""
    from node.doctor.examination import findings
    from shared.doctor.examination import tell

    configure("error")
    return tell(asyncio.run(findings(os.environ)), to_program=to_program)


async def obey(command: str, settings: Settings) -> int:
    """Do it; answers the exit code. Raises NodeError.

    The whole program is imported only where it is needed: a health check is run every few seconds on every host.
    """
    match command:
        case "health":
            return 0 if is_running(settings) else 1
        case "stop":
            from node.commands.stop import stop_proxies

            print("\n".join((await stop_proxies(settings)).lines()))
        case "forget":
            if is_running(settings):
                raise NodeError("the agent still runs; end it first")
            settings.identity_file.unlink(missing_ok=True)
        case "upgrade-engine":
            from node.commands.upgrade_engine import upgrade_engine

            print("\n".join(await upgrade_engine(settings)))
        case _:
            from node.app import run_node

            collect_seldom()
            stop = Stop()
            await run_node(settings, stop.event, upgrade=upgrade_on_signal())
            if stop.signal == signal.SIGINT:
                print(farewell(settings), file=sys.stderr)
    return 0


def farewell(settings: Settings) -> str:
    """What somebody who pressed Ctrl-C may not expect."""
    command = "maybe-node stop"
    if settings.data_dir != DATA_DIR:
        command = f"NODE_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}"
    return f"maybe-node: the agent has ended. Its proxies go on; to end them as well: {command}"


def collect_seldom() -> None:
    """Looking for garbage in what was imported, and after every few hundred objects, takes a fifth of many starts."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Stop:
    """An event that SIGTERM and SIGINT set, and which of them it was."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._set, number)
        structlog.contextvars.bind_contextvars(program="node")

    def _set(self, number: signal.Signals) -> None:
        self.signal = number
        self.event.set()


def upgrade_on_signal() -> asyncio.Event:
    """An event that SIGUSR1 sets."""
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, wanted.set)
    return wanted


if __name__ == "__main__":
    main()
