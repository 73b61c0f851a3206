"""Adds up the usage of the processes of one directory from their logs, which continue while the agent is away."""

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
"""Bytes read at once: about 3 ms of work, after which other tasks run."""

EMPTIED_AT_BYTES = 1024 * 1024
"""A log of this length is emptied after it is counted."""

MAX_FINISHED = 4_096
"""Finished processes whose counts are not acknowledged; beyond it the oldest are forgotten."""


class LogLedger:
    """The counts of a process are those in its log: every agent that reads it gets the same figures.

    They are written to disk only before the log is emptied, and when the process has ended. Nothing is counted twice.
    What is lost: usage that 3proxy had not logged when it was killed (less than `LOG_EVERY_BYTES` per connection and
    direction), what it could not log while the agent was away for longer than `LOG_BYTES` last, and a line written at
    the instant in which the log is emptied.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._running: dict[str, Counts] = {}
        self._ended: dict[str, Counts] = {}
        self._finished: dict[str, Counts] = {}
        self._reading = asyncio.Lock()

    def open(self, running: Collection[str]) -> None:
        """Continue where the last agent stopped."""
        for stem in sorted(self._folder.counted_stems(), key=identity):
            counts = self._read_counts(stem)
            if stem in running:
                self._running[stem] = counts
            elif self._folder.log(stem).exists():
                self._ended[stem] = counts
            else:
                self._finished[stem] = counts

    def begin(self, stem: str) -> None:
        self._running[stem] = Counts()

    def end(self, stem: str) -> None:
        """Record that the process has ended and its log is complete."""
        if (counts := self._running.pop(stem, None)) is not None:
            self._ended[stem] = counts

    async def settle(self) -> None:
        """Complete the counts of processes that have ended."""
        async with self._reading:
            for stem in list(self._ended):
                with suppress(OSError):  # a full disk or file table: the log stays for the next call
                    await self._count(stem, self._ended)
                    self._finish(stem)
            for stem in list(self._finished)[:-MAX_FINISHED]:
                self._forget(stem)

    async def usage(self) -> list[Counters]:
        """The counters of all processes that moved something and are not acknowledged."""
        await self.settle()
        async with self._reading:
            for stem in list(self._running):
                with suppress(OSError):
                    await self._count(stem, self._running)
        known = {**self._finished, **self._ended, **self._running}
        return [counters(stem, counts) for stem, counts in known.items() if not counts.nothing]

    def taken(self, reported: Sequence[Counters]) -> None:
        finished = {identity(stem): stem for stem in self._finished}
        for each in reported:
            stem = finished.get((each.id, each.epoch))
            if stem is not None and counters(stem, self._finished[stem]) == each:
                self._forget(stem)

    async def _count(self, stem: str, counts_by_stem: dict[str, Counts]) -> None:
        """Read to the end of the log. A process that ends meanwhile moves to another dictionary, and is left to the
        next call."""
        log = self._folder.log(stem)
        await asyncio.sleep(0)
        while stem in counts_by_stem:
            block = block_of(log, counts_by_stem[stem].offset)
            if b"\n" not in block:
                break
            counts_by_stem[stem] = add_block(counts_by_stem[stem], block)
            await asyncio.sleep(0)
        else:
            return
        if counts_by_stem[stem].offset >= EMPTIED_AT_BYTES:
            self._empty(stem, counts_by_stem)

    def _empty(self, stem: str, counts_by_stem: dict[str, Counts]) -> None:
        """Empty the log, without yielding between the last read and the truncation. If the agent is killed in between,
        the counts reach past the log's end, or too little is counted: never too much."""
        log = self._folder.log(stem)
        self._write_counts(stem, counts_by_stem[stem])
        last = add_block(counts_by_stem[stem], block_of(log, counts_by_stem[stem].offset))
        os.truncate(log, 0)
        counts_by_stem[stem] = last.model_copy(update={"offset": 0})
        self._write_counts(stem, counts_by_stem[stem])

    def _finish(self, stem: str) -> None:
        if not (counts := self._ended[stem]).nothing:
            self._write_counts(stem, counts)
            self._finished[stem] = counts
        self._folder.log(stem).unlink(missing_ok=True)
        del self._ended[stem]

    def _write_counts(self, stem: str, counts: Counts) -> None:
        write_whole(self._folder.counts(stem), counts.model_dump_json())

    def _read_counts(self, stem: str) -> Counts:
        """Read counts from disk; zero if there are none. If they are unreadable after a power failure, the rest of the
        log is skipped, so that nothing is counted twice."""
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
        with suppress(OSError):  # reported again after a restart, which adds nothing
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
    """Read one block of the log. Raises OSError."""
    with open(log, "rb") as file:
        file.seek(offset)
        return file.read(BLOCK_BYTES)


def size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0
