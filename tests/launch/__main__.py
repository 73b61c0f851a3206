"""`./dev up`: starts a whole cluster on this machine, tries it out with curl, and runs until Ctrl-C or `./dev down`.

This module reads the command line, checks for obstacles, and starts `tests.launch.up` under `tests.services.leash`, in
the foreground or in the background.
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

DEMO_NODES = 5
LEASH = (sys.executable, "-m", "tests.services.leash", sys.executable, "-m", "tests.launch.up")


@dataclass(frozen=True)
class UpOptions:
    """Options of the command line. `nodes` is None for the default: two, or as many as the kept cluster has."""

    nodes: int | None
    once: bool
    keep: Path | None
    port: int
    detach: bool
    demo: bool = False

    @property
    def logs(self) -> Path:
        """The folder of the logs after a failure."""
        return self.keep / "logs" if self.keep else registry.logs_of(self.port)


def main() -> int:
    """Run `./dev up`. Exit codes: 0 done, 1 failed, 2 invalid command line, 130 stopped before everything was up."""
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
        prog="./dev up", description="Start a whole cluster on this machine and try it out with curl."
    )
    parser.add_argument(
        "--nodes",
        type=count,
        metavar="N",
        help="number of nodes, from 1 to 40 (default: 2, or as many as the kept cluster has)",
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the data in DIR, and continue with it at the next start")
    parser.add_argument(
        "--port", type=port_number, default=registry.DEFAULT_PORT, help="port of the API (default: %(default)s)"
    )
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--once", action="store_true", help="stop the cluster as soon as everything was tried out")
    ending.add_argument(
        "-d", "--detach", action="store_true", help="run in the background, and return once everything works"
    )
    parser.add_argument(
        "--demo", action="store_true", help="fill the cluster with a fleet: customers, traffic, trouble (5 nodes)"
    )
    parser.add_argument("--called-from", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.demo and (parsed.nodes or DEMO_NODES) < DEMO_NODES:
        parser.error(f"--demo needs at least {DEMO_NODES} nodes")
    keep = parsed.called_from / Path(parsed.keep).expanduser() if parsed.keep else None
    return UpOptions(
        nodes=parsed.nodes or (DEMO_NODES if parsed.demo else None),
        once=parsed.once,
        keep=keep,
        port=parsed.port,
        detach=parsed.detach,
        demo=parsed.demo,
    )


def count(text: str) -> int:
    return between(text, 1, 40)


def port_number(text: str) -> int:
    return between(text, 1, 65535)


def between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


def obstacle_to(options: UpOptions) -> str | None:
    """Return why such a cluster cannot start now, and what to do; None if it can."""
    for record in registry.read_all():
        if record.port == options.port or (options.keep and record.folder == str(options.keep.resolve())):
            if record.runs:
                return already_running(record, options)
            if record.left:
                return (
                    f"the ./dev up of {record.api} was killed and left processes behind ({named(record.left)}); "
                    f"end them: ./dev down"
                )
    return None if is_free(options.port) else port_taken(options.port)


def already_running(record: Record, options: UpOptions) -> str:
    """Describe a cluster of this folder that exists already."""
    state = {"starting": "already starting", "up": "already running", "stopping": "stopping"}[record.phase]
    another = f" Start another one beside it: ./dev up --port {free_port(options.port + 100)}"
    return (
        f"the cluster {record.api} of this folder is {state} (process {record.launcher.pid}). "
        f"Look at it: ./dev status. Stop it: ./dev down --port {record.port}.{'' if options.keep else another}"
    )


def port_taken(port: int) -> str:
    """Describe why the port cannot be used, and what to do."""
    reason = why_not(port)
    if reason != "taken":
        return f"cannot listen on port {port}: {reason}; choose another one: ./dev up --port {free_port(3005)}"
    owners = listener_pids(port) if sys.platform == "linux" else set()
    by = f"{name_of(min(owners))} (process {min(owners)})" if owners else "another program"
    return f"port {port} is used by {by}; choose another one: ./dev up --port {free_port(port + 100)}"


def free_port(first: int) -> int:
    """Find a free port from here on, in steps of a hundred."""
    return next((port for port in range(first, 65536, 100) if is_free(port)), registry.DEFAULT_PORT)


if __name__ == "__main__":
    sys.exit(main())
