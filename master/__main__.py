"""The command line of the master: `maybe-master [run|doctor|bundle|install-command|license|tls|token]`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial

import structlog

from master.app import run_master
from master.broker_tls.commands import run_tls
from master.distribution.commands import run_command
from master.doctor.examination import findings
from master.domain.license.commands import run_license
from master.domain.tokens.commands import run_token
from master.errors import BadConfiguration
from master.settings import OPTIONAL, REQUIRED, SECRETS, Settings, read_settings
from shared.doctor.examination import print_findings
from shared.logs import configure
from shared.settings.errors import NOT_SET
from shared.settings.secret_files import file_variable
from shared.tasks import leaves
from shared.version import listed, program_version

COMMANDS = {
    "run": "run the master until SIGTERM or Ctrl-C (the default)",
    "doctor": "examine settings, database and broker; exit with 0 without a problem, with 1 otherwise",
    "bundle": "build, export or verify the bundles that nodes are installed from (see bundle --help)",
    "install-command": "print the line that installs a node (see install-command --help)",
    "license": "issue or inspect a licence key (see license --help)",
    "token": "create, list or revoke tokens of the API by the database (see token --help)",
    "tls": "make or renew the certificates of the broker (see tls --help)",
}
PROGRAMS = {
    "bundle": partial(run_command, "bundle"),
    "install-command": partial(run_command, "install-command"),
    "license": run_license,
    "token": run_token,
    "tls": run_tls,
}
"""The commands with arguments of their own; each returns the exit code."""


def main() -> None:
    """Run the command. Exits with 0 after a signal, 2 for bad configuration; the doctor with 0 or, on problems, 1."""
    if program := PROGRAMS.get("".join(sys.argv[1:2])):
        sys.exit(program(sys.argv[2:]))
    arguments = parser().parse_args()
    if arguments.command == "doctor":
        configure("error")
        sys.exit(print_findings(asyncio.run(findings(os.environ)), to_program=arguments.json))
    try:
        settings = read_settings(os.environ)
        configure(settings.log_level)
        asyncio.run(serve(settings))
    except* BadConfiguration as group:
        for line in lines([error for raised in leaves(group) for error in raised.errors()]):
            print(f"maybe-master: {line}", file=sys.stderr)
        sys.exit(2)


def lines(errors: Sequence[BadConfiguration]) -> list[str]:
    """Return a line for all settings that are missing, and one for each that is invalid."""
    unset = ", ".join(error.variable for error in errors if error.reason == NOT_SET)
    invalid = [str(error) for error in errors if error.reason != NOT_SET]
    return [f"not set: {unset} (see maybe-master --help)", *invalid] if unset else invalid


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    text = "commands:\n" + "\n".join(f"  {name:16} {what}" for name, what in COMMANDS.items())
    made = argparse.ArgumentParser(
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="maybe-master",
        description="The controlling program: HTTP API, rotation of proxies, and management of nodes.\n\n"
        "Settings come from the environment. Required:\n"
        f"{listed(REQUIRED)}\n\nOptional:\n{listed(OPTIONAL)}\n\n"
        f"Secrets may come from files that these variables name:\n{listed(map(file_variable, SECRETS))}",
    )
    made.add_argument(
        "--version", action="version", help="print the version and exit", version=f"%(prog)s {program_version()}"
    )
    made.add_argument("command", nargs="?", default="run", choices=COMMANDS, metavar="COMMAND", help="see below")
    made.add_argument("--json", action="store_true", help="doctor: print the findings as JSON")
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
