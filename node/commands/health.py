"""`maybe-node health`: whether the agent runs, and with --deep whether its proxies serve."""

import os
import sys
from collections.abc import Sequence

from node.data_directory import DataDirectory, data_directory_of
from node.errors import NodeError
from node.state.agent_lock import is_running


def main(arguments: Sequence[str]) -> int:
    """Examine the agent. Raises NodeError."""
    files = data_directory_of(os.environ)
    return deep(arguments, files) if arguments else shallow(files)


def shallow(files: DataDirectory) -> int:
    """Return 0 while the agent runs. This imports nothing more: it is called every few seconds on every host."""
    try:
        return 0 if is_running(files) else 1
    except OSError as error:
        print(f"maybe-node: {files.data_dir} cannot be examined: {error.strerror}", file=sys.stderr)
        return 1


def deep(arguments: Sequence[str], files: DataDirectory) -> int:
    """Read the options, and examine the proxies. Raises NodeError."""
    from node.commands.options import options  # noqa: PLC0415 (see `shallow`)

    parser = options(
        "health",
        "Exit with 0 while the agent runs, and with 1 otherwise. With --deep the agent must be ready, its workers must "
        "run the installed code, and its proxies must accept. Neither broker nor master are asked.",
    )
    parser.add_argument("--deep", action="store_true", help="examine the proxies as well")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--record", metavar="FILE", help="write which ports accept now, and judge nothing; - is stdout")
    choice.add_argument("--against", metavar="FILE", help="each port that accepted when FILE was written must accept")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="time to become healthy; default 0")
    wanted = parser.parse_args(arguments)
    if not wanted.deep:
        if wanted.record or wanted.against:
            parser.error("--record and --against need --deep")
        return shallow(files)
    from node.commands.deep_health import Examination  # noqa: PLC0415

    try:
        examination = Examination(files, os.environ)
        if wanted.record:
            return examination.record(wanted.record)
        return examination.judge(wanted.against, wait_s=wanted.wait)
    except OSError as error:
        reason = f"{error.filename or files.data_dir} cannot be examined: {error.strerror}"
        raise NodeError(f"{reason}; run the command as root or as the agent's user") from error
