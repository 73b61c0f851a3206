"""What proxies have used, on disk: written by each worker for its own proxies, read by every other one.

A proxy may come to another worker, or to a new process of the same, so each process has a file of its own in one
directory, and whoever takes a proxy looks for its newest line in all of them. Lines hold absolute figures: read twice
they count once. The file of a process that ended is taken over by another: copied first, then removed, so that at
every moment each line is in some file.
"""

import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from node.engine.builtin import log
from node.engine.builtin.accounting.ledger_entry import LedgerEntry, LedgerKey, key_of, line, read_line, taken_line
from node.engine.builtin.accounting.ledger_file import SUFFIX, LedgerFile
from node.engine.builtin.accounting.ledger_index import LedgerIndex
from node.engine.builtin.policy.quota_periods import QuotaUsage

FOLDER = "usage"
ANSWER_MAX = 1000
"""Entries told at once."""
FINISHED_MAX = 20_000
"""Lives that have ended and that nobody has taken; the oldest are forgotten first."""
_ABSENT_MAX = 50_000
"""Proxies that are not here and whose spent traffic is remembered, should they come back."""
_COMPACT_FROM = 4 << 20
_NOTHING = QuotaUsage()


class Ledger:
    """`open` are the keys that are still counted under; all else that is told has ended."""

    def __init__(self, folder: Path) -> None:
        """The folder and the file are made with the first line."""
        self._path = folder / f"{os.getpid()}-{time.time_ns()}{SUFFIX}"
        self._own: LedgerFile | None = None
        self._places = LedgerIndex(folder)
        self._told: dict[LedgerKey, tuple[int, bytes]] = {}
        self._open: set[LedgerKey] = set()
        self._sequence = 0
        self._compact_at = _COMPACT_FROM
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._sync: Future[None] | None = None
        self._failing = False
        self.adopt()

    def write(self, entries: Iterable[LedgerEntry]) -> bool:
        """Whether they are written; they are safe from a loss of power a moment later."""
        lines = {entry.key: line(entry) for entry in entries}
        if not self._append(list(lines.values())):
            return False
        for key, text in lines.items():
            self._tell(key, text)
        self._open.update(lines)
        self._make_safe()
        return True

    def end(self, key: LedgerKey) -> None:
        """Nothing more is written of this life."""
        self._open.discard(key)

    def follow(self) -> None:
        """Reads what others have written meanwhile. Raises OSError."""
        self._places.follow()

    def spent(self, proxy_id: int) -> QuotaUsage:
        """What was written last for this proxy, by whomever, as of the last `follow`. Raises OSError."""
        texts = self._places.newest(proxy_id)
        if not texts:
            return _NOTHING
        entries = [entry for text in texts if isinstance(entry := read_line(text), LedgerEntry)]
        return max((entry.spent for entry in entries), key=lambda spent: spent.total, default=_NOTHING)

    def told(self, since: int) -> tuple[int, list[bytes]]:
        """Lines written after that number, the oldest first, not all at once; and the number to ask with next."""
        found: list[tuple[int, bytes]] = []
        for number, text in reversed(self._told.values()):
            if number <= since:
                break
            found.append((number, text))
        found = found[-ANSWER_MAX:]
        return (found[0][0] if found else since), [text for _, text in reversed(found)]

    def take(self, key: LedgerKey, figures: tuple[int, int, int]) -> bool:
        """Whether this life has ended with these figures (received, sent, connections); it is not told again."""
        told = self._told.get(key)
        entry = read_line(told[1]) if told is not None else None
        if not isinstance(entry, LedgerEntry) or key in self._open:
            return False
        if (entry.received_bytes, entry.sent_bytes, entry.connections) != figures:
            return False
        if not self._append([taken_line(key)]):
            return False
        del self._told[key]
        return True

    def adopt(self) -> None:
        """Takes over what processes that ended have left."""
        for path in self._others():
            try:
                self._adopt(path)
            except OSError as error:
                log.write("ledger.not_adopted", errno=error.errno)

    def close(self) -> None:
        """What is written stays; another process takes it over."""
        self._threads.shutdown(wait=True)
        self._places.close()
        if self._own is not None:
            os.fdatasync(self._own.fd)
            self._own.close()
            self._own = None

    def _tell(self, key: LedgerKey, text: bytes) -> None:
        self._sequence += 1
        self._told.pop(key, None)
        self._told[key] = self._sequence, text
        if len(self._told) - len(self._open) > FINISHED_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        ended = [key for key in self._told if key not in self._open]
        for key in ended[: len(ended) // 10]:
            del self._told[key]

    def _append(self, lines: list[bytes]) -> bool:
        try:
            if self._own is None:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                self._own = LedgerFile.create(self._path, [])
            self._own.append(lines)
        except OSError as error:
            self._journal_once(error)
            return False
        self._failing = False
        if self._own.size > self._compact_at and self._is_quiet():
            self._compact(self._own)
        return True

    def _make_safe(self) -> None:
        """In a thread: a disk may take its time."""
        if self._own is not None and self._is_quiet():
            self._sync = self._threads.submit(os.fdatasync, self._own.fd)

    def _is_quiet(self) -> bool:
        """Whether no thread is at the file."""
        if self._sync is not None and self._sync.done():
            error = self._sync.exception()
            if isinstance(error, OSError):
                self._journal_once(error)
            self._sync = None
        return self._sync is None

    def _journal_once(self, error: OSError) -> None:
        if not self._failing:
            log.write("ledger.write_failed", errno=error.errno)
        self._failing = True

    def _compact(self, before: LedgerFile) -> None:
        """One line for each proxy, and each life that is still told, into a new file of the same name."""
        try:
            self._own = LedgerFile.create(self._path, self._needed(before))
        except OSError as error:
            self._journal_once(error)
            self._compact_at = before.size * 2
            return
        before.close()
        self._compact_at = max(_COMPACT_FROM, self._own.size * 4)

    def _needed(self, file: LedgerFile) -> list[bytes]:
        """A proxy's newest line is behind its others. Raises OSError."""
        newest: dict[int, tuple[LedgerKey, bytes]] = {}
        for _, text in file.lines(0):
            key = key_of(text)
            if key is not None:
                newest.pop(key[0], None)
                newest[key[0]] = key, text
        absent = [id_ for id_, (key, _) in newest.items() if key not in self._open]
        for id_ in absent[:-_ABSENT_MAX]:
            del newest[id_]
        kept = {key for key, _ in newest.values()}
        taken = [taken_line(key) for key in kept if key not in self._told]
        return [
            *(text for key, (_, text) in self._told.items() if key not in kept),
            *(text for _, text in newest.values()),
            *taken,
        ]

    def _others(self) -> list[Path]:
        return [path for path in sorted(self._path.parent.glob(f"*{SUFFIX}")) if path != self._path]

    def _adopt(self, path: Path) -> None:
        """Raises OSError."""
        orphan = LedgerFile.open(path)
        if orphan is None:
            return
        try:
            if orphan.take_over() and self._copy(orphan):
                os.unlink(path)
        finally:
            orphan.close()

    def _copy(self, orphan: LedgerFile) -> bool:
        """Whether all that it says is safe here. A line of a proxy that this process runs is followed by its own."""
        latest: dict[int, bytes] = {}
        lives: dict[LedgerKey, bytes] = {}
        for _, text in orphan.lines(0):
            match read_line(text):
                case LedgerEntry() as entry:
                    latest.pop(entry.id, None)
                    latest[entry.id] = lives[entry.key] = text
                case None:
                    pass
                case key:
                    lives.pop(key, None)
        last = set(latest.values())
        untold = [text for text in lives.values() if text not in last]
        ours = [self._told[key][1] for key in self._open if key[0] in latest]
        if not self._append([*untold, *latest.values(), *ours]):
            return False
        if self._own is not None:
            os.fdatasync(self._own.fd)
        for key, text in lives.items():
            if key not in self._told:
                self._tell(key, text)
        return True
