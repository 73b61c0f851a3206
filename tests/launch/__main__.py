"""`./dev up`: a whole cluster on this machine, tried out with curl, kept running until Ctrl-C or `./dev down`.

Reads the command line, looks whether anything is in the way, and starts the launcher (tests/up.py) under the leash: in
the foreground, or in the background until everything works.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.launch import registry
from tests.launch.registry import Record, named
from tests.services.ports import is_free, why_not
from tests.services.processes import listener_pids, name_of

LEASH = (sys.executable, "-m", "tests.services.leash", sys.executable, "-m", "tests.launch.up")


@dataclass(frozen=True)
class UpOptions:
    """What the command line asked for. Without `nodes`: two, or as many as the kept cluster has."""

    nodes: int | None
    once: bool
    keep: Path | None
    port: int
    detach: bool

    @property
    def logs(self) -> Path:
        """Where the logs are when it has failed."""
        return self.keep / "logs" if self.keep else registry.logs_of(self.port)


def main() -> int:
    """Exit codes: 0 done, 1 with the reason, 2 a wrong command line, 130 stopped before all was up."""
    arguments = sys.argv[1:]
    options = read(arguments)
    obstacle = obstacle_to(options)
    if obstacle:
        print(obstacle, file=sys.stderr)
        return 1
    if options.detach:
        from tests.launch.background import started

        return started([*LEASH, *arguments], options)
    return os.execv(LEASH[0], [*LEASH, *arguments])


def read(arguments: list[str]) -> UpOptions:
    parser = argparse.ArgumentParser(
        prog="./dev up", description="A whole cluster on this machine, tried out with curl."
    )
    parser.add_argument(
        "--nodes", type=count, metavar="N", help="1 to 40; default 2, or as many as the kept cluster has"
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the data there for the next start")
    parser.add_argument(
        "--port", type=port_number, default=registry.DEFAULT_PORT, help="of the API; default %(default)s"
    )
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--once", action="store_true", help="leave as soon as everything was tried out")
    ending.add_argument(
        "-d", "--detach", action="store_true", help="come back when everything works; ./dev down ends it"
    )
    parser.add_argument("--called-from", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    keep = given.called_from / Path(given.keep).expanduser() if given.keep else None
    return UpOptions(nodes=given.nodes, once=given.once, keep=keep, port=given.port, detach=given.detach)


def count(text: str) -> int:
    return between(text, 1, 40)


def port_number(text: str) -> int:
    return between(text, 1, 65535)


def between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


def obstacle_to(options: UpOptions) -> str | None:
    """Why such a cluster cannot start now, and what to do; None when nothing is in the way."""
    for record in registry.read_all():
        if record.port == options.port or (options.keep and record.folder == str(options.keep.resolve())):
            if record.runs:
                return already_running(record, options)
            if record.left:
                return (
                    f"the ./dev up of {record.api} was killed and has left processes ({named(record.left)}): "
                    f"./dev down ends them"
                )
    return None if is_free(options.port) else port_taken(options.port)


def already_running(record: Record, options: UpOptions) -> str:
    """The word about a cluster of this folder that is there already."""
    verb = {"starting": "is starting", "up": "runs", "stopping": "is stopping"}[record.phase]
    beside = f"or start another one beside it: ./dev up --port {free_port(options.port + 100)}"
    return (
        f"the cluster {record.api} of this folder {verb} already (process {record.launcher.pid}). "
        f"Look at it: ./dev status. Stop it: ./dev down --port {record.port}{'' if options.keep else f'; {beside}'}"
    )


def port_taken(port: int) -> str:
    """Who has the port, as far as can be seen, and what to do."""
    reason = why_not(port)
    if reason != "taken":
        return f"port {port} cannot be listened on: {reason}; choose another one: ./dev up --port {free_port(3005)}"
    owners = listener_pids(port) if sys.platform == "linux" else set()
    by = f"{name_of(min(owners))} (process {min(owners)})" if owners else "another program"
    return f"port {port} is taken by {by}; choose another one: ./dev up --port {free_port(port + 100)}"


def free_port(first: int) -> int:
    """The first free one from here on in steps of a hundred."""
    return next((port for port in range(first, 65536, 100) if is_free(port)), registry.DEFAULT_PORT)


if __name__ == "__main__":
    sys.exit(main())
