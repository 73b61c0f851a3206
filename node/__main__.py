"""`maybe-node`: the agent, and a few words to it."""

import argparse
import asyncio
import gc
import os
import signal
import sys

import structlog

from node.errors import BadConfiguration, NodeError
from node.presence import is_running
from node.settings import Settings, read_settings
from shared.logs import configure
from shared.tasks import leaves

COMMANDS = {
    "run": "run the agent (the default); its proxies go on when it ends",
    "stop": "end every proxy of this data directory, for when the node shall really be down",
    "upgrade-engine": "have the built-in engine go on in new processes, with the code as it is now; nothing is lost",
    "health": "exit with 0 while the agent runs, with 1 else",
    "doctor": "tell what is wrong with this node and its host; exit with 0 when nothing is a problem, with 1 else",
    "whois": "tell whose connection left by the random IPv6 address that follows; exit with 1 when nobody's did",
    "forget": "forget who this node is; at its next start it waits to be enrolled",
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
            code = max(code, 2 if isinstance(error, BadConfiguration) else 1)
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Of the commands."""
    text = "\n".join(f"  {name:14} {what}" for name, what in COMMANDS.items())
    made = argparse.ArgumentParser(prog="maybe-node", epilog=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("command", nargs="?", default="run", choices=COMMANDS)
    made.add_argument("address", nargs="?", help="for whois")
    made.add_argument("--json", action="store_true", help="what the doctor finds as JSON")
    return made


def tell_owner(settings: Settings, address: str) -> None:
    """Print whose a random exit address was. Raises NodeError."""
    from node.whois import whois

    for trace in whois(settings, address):
        print(trace)


def look(*, to_program: bool) -> int:
    """Print what the doctor finds; answers the exit code."""
    from node.doctor import findings
    from shared.examination import tell

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
            if is_running(settings):
                raise NodeError("the agent still runs and would start them again; end it first")
            from node.app import halt_engines

            await halt_engines(settings)
        case "forget":
            if is_running(settings):
                raise NodeError("the agent still runs; end it first")
            settings.identity_file.unlink(missing_ok=True)
        case "upgrade-engine":
            from node.upgrading import upgrade_engine

            print("\n".join(await upgrade_engine(settings)))
        case _:
            from node.app import run_node

            collect_seldom()
            await run_node(settings, stop_on_signals(), upgrade=upgrade_on_signal())
    return 0


def collect_seldom() -> None:
    """Looking for garbage in what was imported, and after every few hundred objects, takes a fifth of many starts."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    structlog.contextvars.bind_contextvars(program="node")
    return stop


def upgrade_on_signal() -> asyncio.Event:
    """An event that SIGUSR1 sets."""
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, wanted.set)
    return wanted


if __name__ == "__main__":
    main()
