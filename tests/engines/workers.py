"""The processes of the built-in engine's workers."""

from pathlib import Path

from node.engine.builtin.frames import peer
from node.engine.builtin.pool.processes import connect_worker


def worker_pid(directory: Path, index: int = 0) -> int:
    connection = connect_worker(directory, index)
    assert connection is not None
    with connection:
        return peer(connection)[0]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
