"""The local copy of an agent that is killed in the middle of writing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from node.state.local_copy import CopyChange, LocalCopy, on_list, on_records
from node.state.store import Store
from shared.messages.bodies import Header, SyncItem

PROXIES = 40
KILLS = 100


def generation(number: int) -> tuple[Header, list[tuple[int, int]], list[SyncItem]]:
    """A list and its records in which every version is the revision; half of the ids come and go."""
    ids = [id_ for id_ in range(1, PROXIES + 1) if id_ % 2 or (id_ + number) % 4]
    header = Header(v=1, cluster="c", node=1, rev=number)
    record = {"protocol": "http", "username": "somebody", "password": "p" * 100, "allow_ips": [], "engine": "builtin"}
    items = [
        SyncItem(id=id_, version=number, content=number, raw={"id": id_, "version": number, "port": id_} | record)
        for id_ in ids
    ]
    return header, [(id_, number) for id_ in ids], items


def write_for_ever(path: Path, begun: int) -> None:
    """An agent's writes, as fast as they go."""
    store = Store(path)
    copy = store.load()
    os.write(begun, b"!")
    while True:
        header, pairs, items = generation(copy.rev + 1)
        make(store, copy, on_list(copy, header, pairs))
        make(store, copy, on_records(copy, header, items))


def make(store: Store, copy: LocalCopy, change: CopyChange) -> None:
    store.write(change)
    copy.take(change)


def kill_one(path: Path, after_s: float) -> int:
    """Fork a writer, kill it so long after it began, and answer the revision of what it left."""
    begun, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write_for_ever(path, said)
        finally:
            os._exit(1)
    os.read(begun, 1)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    for end in (begun, said):
        os.close(end)
    return checked(path)


def checked(path: Path) -> int:
    """The revision of the copy, which is wholly of one list and holds no half of a batch of records."""
    store = Store(path)
    copy = store.load()
    store.close()
    if copy.rev:
        assert copy.wanted == dict(generation(copy.rev)[1])
        assert set(copy.proxies) <= set(copy.wanted)
        assert len({stored.version for stored in copy.proxies.values()}) <= 1
    return copy.rev


def test_a_copy_whose_agent_is_killed_while_it_writes_is_always_whole(tmp_path: Path):
    seed = str(random.randrange(2**32))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, __file__, str(tmp_path / "copy.db"), seed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}"
    revs = json.loads(done.stdout)
    assert (len(revs), revs) == (KILLS, sorted(revs))
    assert revs[-1] > KILLS / 10
    assert not list(tmp_path.glob("*.broken-*"))


if __name__ == "__main__":
    dice = random.Random(int(sys.argv[2]))
    print(json.dumps([kill_one(Path(sys.argv[1]), dice.uniform(0, 0.02)) for _ in range(KILLS)]))
