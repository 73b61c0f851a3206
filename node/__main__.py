"""Command line of `maybe-node`: the agent and its subcommands."""

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
    "run": "run the agent until SIGTERM or Ctrl-C (the default). Proxies keep running afterwards",
    "stop": "end every proxy of NODE_DATA_DIR, even if that directory was removed. The agent must not run",
    "upgrade-engine": "move all proxies into new processes with the installed code, without losing a connection",
    "health": "exit with 0 while the agent runs, and with 1 otherwise",
    "doctor": "examine this node and its host. Exits with 0 if there is no problem, and with 1 otherwise",
    "whois": "name the proxy that used ADDRESS, a random IPv6 exit. Exits with 1 if there is none",
    "forget": "delete this node's identity, so that its next start waits for enrolment. Proxies keep running",
}


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 failed or the doctor found a problem, 2 bad configuration."""
    arguments = parser().parse_args()
    if arguments.command == "doctor":
        sys.exit(run_doctor(to_program=arguments.json))
    code = 0
    try:
        settings = read_settings(os.environ)
        configure(settings.log_level)
        if arguments.command == "whois":
            print_owner(settings, arguments.address or "")
        else:
            code = asyncio.run(run_command(arguments.command, settings))
    except* NodeError as group:
        for error in leaves(group):
            for each in error.errors() if isinstance(error, NodeConfigurationError) else [error]:
                print(f"maybe-node: {each}", file=sys.stderr)
            code = max(code, 2 if isinstance(error, NodeConfigurationError) else 1)
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    text = "commands:\n" + "\n".join(f"  {name:14} {effect}" for name, effect in COMMANDS.items())
    made = argparse.ArgumentParser(
        prog="maybe-node",
        description="The agent of a node. It runs the proxies that its master assigns, and keeps them running while\n"
        "the master is unreachable.\n\n"
        f"Settings are read from the environment; all are optional:\n{listed(VARIABLES)}",
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--version", action="version", help="print the version and exit", version=f"%(prog)s {program_version()}"
    )
    made.add_argument("command", nargs="?", default="run", choices=COMMANDS, metavar="COMMAND", help="see below")
    made.add_argument("address", nargs="?", metavar="ADDRESS", help="whois: the exit address to look up")
    made.add_argument("--json", action="store_true", help="doctor: print the findings as JSON")
    return made


def print_owner(settings: Settings, address: str) -> None:
    """Print which proxy used a random exit address. Raises NodeError."""
    from node.commands.whois import whois

    for trace in whois(settings, address):
        print(trace)


def run_doctor(*, to_program: bool) -> int:
    """Print the doctor's findings and return the exit code."""
    from node.doctor.examination import findings
    from shared.doctor.examination import print_findings

    configure("error")
    return print_findings(asyncio.run(findings(os.environ)), to_program=to_program)


async def run_command(command: str, settings: Settings) -> int:
    """Run a command and return the exit code. Raises NodeError.

    Each command imports only what it needs: a health check runs every few seconds on every host.
    """
    match command:
        case "health":
            return 0 if is_running(settings) else 1
        case "stop":
            from node.commands.stop import stop_proxies

            print("\n".join((await stop_proxies(settings)).lines()))
        case "forget":
            if is_running(settings):
                raise NodeError("the agent is running; stop it first")
            settings.identity_file.unlink(missing_ok=True)
            settings.nonce_file.unlink(missing_ok=True)
        case "upgrade-engine":
            from node.commands.upgrade_engine import upgrade_engine

            print("\n".join(await upgrade_engine(settings)))
        case _:
            from node.app import run_node

            tune_garbage_collector()
            stop = Stop()
            await run_node(settings, stop.event, upgrade=upgrade_on_signal())
            if stop.signal == signal.SIGINT:
                print(stop_hint(settings), file=sys.stderr)
    return 0


def stop_hint(settings: Settings) -> str:
    """Explain to a person who pressed Ctrl-C that the proxies are still running."""
    command = "maybe-node stop"
    if settings.data_dir != DATA_DIR:
        command = f"NODE_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}"
    return f"maybe-node: the agent has ended. Its proxies keep running; to end them as well: {command}"


def tune_garbage_collector() -> None:
    """Collect garbage less often, and never in imported modules: collecting took a fifth of starting many proxies."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Stop:
    """An event that SIGTERM and SIGINT set, and the signal that set it."""

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
    """Return an event that SIGUSR1 sets."""
    upgrade = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, upgrade.set)
    return upgrade


if __name__ == "__main__":
    main()
