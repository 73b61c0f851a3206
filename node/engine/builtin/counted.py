"""The counters of one worker, as far as the agent has been told."""

from collections.abc import Collection

from node.engine import Counters, EngineError
from node.engine.builtin.entry import Entry, Key, read_line
from node.engine.builtin.workers import Worker
from shared.proxies import ProxyId

_AT_ONCE = 1000


class Counted:
    """Asks only for what was written since it asked last, for as long as the process is the same."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._pid = 0
        self._since = 0
        self._known: dict[Key, Counters] = {}

    async def read(self) -> Collection[Counters]:
        """Nothing while the worker does not answer: it may have been lost, and then another tells of its lives."""
        if self._pid != self._worker.pid:
            self._pid, self._since, self._known = self._worker.pid, 0, {}
        try:
            while lines := await self._ask():
                for text in lines:
                    entry = read_line(text.encode())
                    if isinstance(entry, Entry):
                        self._known[entry.key] = _counters(entry)
        except EngineError:
            return ()
        return self._known.values()

    async def taken(self, counters: Collection[Counters]) -> None:
        """Raises EngineError."""
        lives = [
            [each.id, each.epoch, each.received_bytes, each.sent_bytes, each.connections]
            for each in counters
            if self._known.get((each.id, each.epoch)) == each
        ]
        for start in range(0, len(lives), _AT_ONCE):
            for id_, epoch in await self._worker.call("taken", lives=lives[start : start + _AT_ONCE]):
                self._known.pop((id_, epoch), None)

    async def _ask(self) -> list[str]:
        answer = await self._worker.call("usage", since=self._since)
        self._since = answer["since"]
        return answer["lines"]


def highest(counters: Collection[Counters]) -> list[Counters]:
    """One for each life: two workers may tell of the same one, while one takes over what another has left."""
    found: dict[Key, Counters] = {}
    for each in counters:
        key = each.id, each.epoch
        if key not in found or _moved(found[key]) <= _moved(each):
            found[key] = each
    return list(found.values())


def _moved(counters: Counters) -> tuple[int, int]:
    return counters.received_bytes + counters.sent_bytes, counters.connections


def _counters(entry: Entry) -> Counters:
    return Counters(
        id=ProxyId(entry.id),
        epoch=entry.epoch,
        received_bytes=entry.received_bytes,
        sent_bytes=entry.sent_bytes,
        connections=entry.connections,
        refused=entry.refused,
    )
