"""`maybe-master`: the controlling program."""

import argparse
import asyncio
import os
import signal
import sys

import structlog

from master.app import run_master
from master.doctor import findings
from master.errors import BadConfiguration
from master.settings import Settings, read_settings
from shared.examination import tell
from shared.logs import configure
from shared.tasks import leaves
from shared.version import program_version

COMMANDS = {
    "run": "run the master (the default)",
    "doctor": "tell what is wrong with this set-up; exit with 0 when nothing is a problem, with 1 else",
}


def main() -> None:
    """Exit codes: 0 stopped by a signal, 2 bad configuration; of the doctor 0 no problem, 1 otherwise."""
    arguments = parser().parse_args()
    if arguments.command == "doctor":
        configure("error")
        sys.exit(tell(asyncio.run(findings(os.environ)), to_program=arguments.json))
    try:
        settings = read_settings(os.environ)
        configure(settings.log_level)
        asyncio.run(serve(settings))
    except* BadConfiguration as group:
        for error in leaves(group):
            print(f"maybe-master: {error}", file=sys.stderr)
        sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """Of the commands."""
    text = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
    made = argparse.ArgumentParser(
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="maybe-master",
        description="HTTP API, rotation and the management of nodes. Its settings come from the environment:\n"
        "DATABASE_HOST, DATABASE_PORT, DATABASE_USERNAME, DATABASE_PASSWORD, DATABASE_NAME, AMQP_URL,\n"
        "RABBITMQ_MANAGEMENT_URL; and, if need be, NODE_AMQP_URL, LICENSE_KEY, API_HOST, API_PORT, LOG_LEVEL,\n"
        "EVENTS_KEEP_DAYS, HISTORY_KEEP_DAYS, WEBHOOK_ALLOW_PRIVATE, API_HOSTS, PUBLIC_URL, ENROL_PORTS.",
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    made.add_argument("command", nargs="?", default="run", choices=COMMANDS)
    made.add_argument("--json", action="store_true", help="what the doctor finds as JSON")
    return made


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises BadConfiguration."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    structlog.contextvars.bind_contextvars(program="master")
    await run_master(settings, stop)


if __name__ == "__main__":
    main()
