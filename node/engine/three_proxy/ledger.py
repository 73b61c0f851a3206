"""Counts what the processes of one directory move, from logs that go on while the agent is away."""

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from node.engine.interface import Counters
from node.engine.three_proxy.counting import Counts, add_block
from node.engine.three_proxy.state import StateFolder, identity, write_whole

BLOCK_BYTES = 64 * 1024
"""Read at once: about 3 ms of work, after which others have their turn."""

EMPTIED_AT_BYTES = 1024 * 1024
"""A log of this length is emptied once it is counted."""

MAX_FINISHED = 4_096
"""Finished processes whose counts nobody has taken; beyond it the oldest are forgotten."""


class LogLedger:
    """A process's counts are its log's: whatever agent reads it comes to the same figures.

    They are written down only before the log is emptied, and when the process has ended. Nothing is counted twice.
    Lost is what 3proxy had not logged when it was killed (under `LOG_EVERY_BYTES` a connection and direction), what it
    could not log while the agent was away for longer than a log of `LOG_BYTES` lasts, and a line that comes in the
    instant in which its log is emptied.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._running: dict[str, Counts] = {}
        self._ended: dict[str, Counts] = {}
        self._finished: dict[str, Counts] = {}
        self._reading = asyncio.Lock()

    def open(self, running: Collection[str]) -> None:
        """Goes on where the last agent left off."""
        for stem in sorted(self._folder.counted_stems(), key=identity):
            counts = self._kept(stem)
            if stem in running:
                self._running[stem] = counts
            elif self._folder.log(stem).exists():
                self._ended[stem] = counts
            else:
                self._finished[stem] = counts

    def begin(self, stem: str) -> None:
        self._running[stem] = Counts()

    def end(self, stem: str) -> None:
        """The process is gone and its log complete."""
        if (counts := self._running.pop(stem, None)) is not None:
            self._ended[stem] = counts

    async def settle(self) -> None:
        """Finishes what has ended."""
        async with self._reading:
            for stem in list(self._ended):
                with suppress(OSError):  # a full disk or file table: the log stays for the next time
                    await self._count(stem, self._ended)
                    self._finish(stem)
            for stem in list(self._finished)[:-MAX_FINISHED]:
                self._forget(stem)

    async def usage(self) -> list[Counters]:
        """Of every process that moved anything and was not taken."""
        await self.settle()
        async with self._reading:
            for stem in list(self._running):
                with suppress(OSError):
                    await self._count(stem, self._running)
        known = {**self._finished, **self._ended, **self._running}
        return [counters(stem, counts) for stem, counts in known.items() if not counts.nothing]

    def taken(self, told: Sequence[Counters]) -> None:
        finished = {identity(stem): stem for stem in self._finished}
        for each in told:
            stem = finished.get((each.id, each.epoch))
            if stem is not None and counters(stem, self._finished[stem]) == each:
                self._forget(stem)

    async def _count(self, stem: str, among: dict[str, Counts]) -> None:
        """Reads on to the log's end. A process that ends meanwhile moves from one dictionary to another: it is left to
        the next look."""
        log = self._folder.log(stem)
        await asyncio.sleep(0)
        while stem in among:
            block = block_of(log, among[stem].offset)
            if b"\n" not in block:
                break
            among[stem] = add_block(among[stem], block)
            await asyncio.sleep(0)
        else:
            return
        if among[stem].offset >= EMPTIED_AT_BYTES:
            self._empty(stem, among)

    def _empty(self, stem: str, among: dict[str, Counts]) -> None:
        """Without a pause between the last look and the truncation. An agent that is killed in between leaves counts
        that reach past the log's end, or less is counted: never more."""
        log = self._folder.log(stem)
        self._keep(stem, among[stem])
        last = add_block(among[stem], block_of(log, among[stem].offset))
        os.truncate(log, 0)
        among[stem] = last.model_copy(update={"offset": 0})
        self._keep(stem, among[stem])

    def _finish(self, stem: str) -> None:
        if not (counts := self._ended[stem]).nothing:
            self._keep(stem, counts)
            self._finished[stem] = counts
        self._folder.log(stem).unlink(missing_ok=True)
        del self._ended[stem]

    def _keep(self, stem: str, counts: Counts) -> None:
        write_whole(self._folder.counts(stem), counts.model_dump_json())

    def _kept(self, stem: str) -> Counts:
        """Nothing when they were not written down. Unreadable after a power cut: the rest of the log is not counted, so
        that nothing is told twice."""
        try:
            counts = Counts.model_validate_json(self._folder.counts(stem).read_bytes())
        except FileNotFoundError:
            return Counts()
        except ValidationError:
            return Counts(offset=size_of(self._folder.log(stem)))
        beyond = counts.offset > size_of(self._folder.log(stem))
        return counts.model_copy(update={"offset": 0}) if beyond else counts

    def _forget(self, stem: str) -> None:
        del self._finished[stem]
        with suppress(OSError):  # told once more after a restart, which adds nothing
            self._folder.counts(stem).unlink(missing_ok=True)


def counters(stem: str, counts: Counts) -> Counters:
    id_, epoch = identity(stem)
    return Counters(
        id=id_,
        epoch=epoch,
        received_bytes=counts.received_bytes,
        sent_bytes=counts.sent_bytes,
        connections=counts.connections,
        refused=dict(counts.refused),
    )


def block_of(log: Path, offset: int) -> bytes:
    """Raises OSError."""
    with open(log, "rb") as file:
        file.seek(offset)
        return file.read(BLOCK_BYTES)


def size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0
