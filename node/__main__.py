"""Command line of `maybe-node`: finds the subcommand and imports nothing that it does not need.

A subcommand is a module of node.commands with `main(arguments) -> int`, and a row of COMMANDS.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple

from node.commands.outcome import MISCONFIGURED, reported
from shared.version import listed, program_version


class Command(NamedTuple):
    """A subcommand: its module in node.commands, and what it does."""

    module: str
    effect: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "run": Command("run", "run the agent until SIGTERM or Ctrl-C (the default). Proxies keep running afterwards"),
        "status": Command("status", "describe this node: agent, identity, broker, proxies, challenge and upgrade"),
        "challenge": Command("challenge", "print the challenge that waits. Exits with 1 if none waits"),
        "stop": Command("stop", "end every proxy of NODE_DATA_DIR, even if it was removed. The agent must not run"),
        "upgrade-engine": Command(
            "upgrade_engine", "move all proxies to processes with the installed code, losing no connection"
        ),
        "health": Command("health", "exit with 0 while the agent runs, else 1. With --deep, examine proxies as well"),
        "doctor": Command("doctor", "examine this node and its host. Exits with 1 if there is a problem"),
        "config": Command("config", "print which addresses of the broker this node uses, or set others by hand"),
        "whois": Command(
            "whois", "name the proxy that used ADDRESS, a random IPv6 exit. Exits with 1 if there is none"
        ),
        "apply-upgrade": Command(
            "apply_upgrade", "carry out the upgrade that the agent requested (for maybe-node-upgrade.service)"
        ),
        "forget": Command("forget", "delete this node's identity: its next start waits for enrolment. Proxies go on"),
    }
)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 failed or the doctor found a problem, 2 bad usage or configuration."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("run", arguments)
    if name in ("-h", "--help"):
        print(help_text())
        return 0
    if name == "--version":
        print(f"maybe-node {program_version()}")
        return 0
    if name not in COMMANDS:
        print(f"maybe-node: {name!r} is no command; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return MISCONFIGURED
    module = import_module(f"node.commands.{COMMANDS[name].module}")
    return reported(lambda: module.main(rest))


def help_text() -> str:
    """Describe all commands and settings."""
    from node.settings import VARIABLES  # reading the settings takes longer than most commands

    commands = "\n".join(f"  {name:14} {command.effect}" for name, command in COMMANDS.items())
    return (
        "usage: maybe-node [COMMAND] [--help] [--version]\n\n"
        "The agent of a node. It runs the proxies that its master assigns, and keeps them running while\n"
        "the master is unreachable.\n\n"
        f"commands:\n{commands}\n\n"
        f"Settings are read from the environment; all are optional:\n{listed(VARIABLES)}"
    )


if __name__ == "__main__":
    main()
