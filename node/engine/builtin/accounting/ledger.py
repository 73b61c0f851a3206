"""The usage of proxies on disk, written by each worker for its own proxies and read by all others.

A proxy may move to another worker or to a new process, so each process has a file of its own in one directory, and a
worker that takes over a proxy looks for its newest line in all files. Lines hold absolute figures: a line that is read
twice counts once. The file of a process that ended is adopted by another: copied first, then removed, so that each line
is in some file at every moment.
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
"""The most lines returned at once."""
FINISHED_MAX = 20_000
"""Ended lives that are kept until somebody acknowledges them; beyond it the oldest are forgotten."""
_ABSENT_MAX = 50_000
"""Absent proxies whose traffic is remembered, in case they come back."""
_COMPACT_FROM = 4 << 20
_NOTHING = QuotaUsage()


class Ledger:
    """The ledger of one worker. `_open` holds the keys of lives that still count; all others have ended."""

    def __init__(self, folder: Path) -> None:
        """The folder and the file are created with the first line."""
        self._path = folder / f"{os.getpid()}-{time.time_ns()}{SUFFIX}"
        self._own: LedgerFile | None = None
        self._index = LedgerIndex(folder)
        self._reported: dict[LedgerKey, tuple[int, bytes]] = {}
        self._open: set[LedgerKey] = set()
        self._sequence = 0
        self._compact_at = _COMPACT_FROM
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._sync: Future[None] | None = None
        self._failing = False
        self.adopt()

    def write(self, entries: Iterable[LedgerEntry]) -> bool:
        """Write entries; False if that failed. They survive a loss of power a moment later."""
        lines = {entry.key: line(entry) for entry in entries}
        if not self._append(list(lines.values())):
            return False
        for key, text in lines.items():
            self._report(key, text)
        self._open.update(lines)
        self._sync_later()
        return True

    def end(self, key: LedgerKey) -> None:
        """Record that a life has ended."""
        self._open.discard(key)

    def refresh(self) -> None:
        """Read what other workers have written since. Raises OSError."""
        self._index.refresh()

    def spent(self, proxy_id: int) -> QuotaUsage:
        """The traffic last written for this proxy by any worker, as of the last `refresh`. Raises OSError."""
        texts = self._index.newest(proxy_id)
        if not texts:
            return _NOTHING
        entries = [entry for text in texts if isinstance(entry := read_line(text), LedgerEntry)]
        return max((entry.spent for entry in entries), key=lambda spent: spent.total, default=_NOTHING)

    def lines_since(self, since: int) -> tuple[int, list[bytes]]:
        """Lines written after the number `since`, the oldest first, up to ANSWER_MAX; and the number to continue
        with."""
        found: list[tuple[int, bytes]] = []
        for number, text in reversed(self._reported.values()):
            if number <= since:
                break
            found.append((number, text))
        found = found[-ANSWER_MAX:]
        return (found[0][0] if found else since), [text for _, text in reversed(found)]

    def acknowledge(self, key: LedgerKey, figures: tuple[int, int, int]) -> bool:
        """Acknowledge a life that has ended with these figures (received, sent, connections), so that it is not
        reported again. False if it has not."""
        reported = self._reported.get(key)
        entry = read_line(reported[1]) if reported is not None else None
        if not isinstance(entry, LedgerEntry) or key in self._open:
            return False
        if (entry.received_bytes, entry.sent_bytes, entry.connections) != figures:
            return False
        if not self._append([taken_line(key)]):
            return False
        del self._reported[key]
        return True

    def adopt(self) -> None:
        """Take over the files of processes that have ended."""
        for path in self._other_files():
            try:
                self._adopt(path)
            except OSError as error:
                log.write("ledger.not_adopted", errno=error.errno)

    def close(self) -> None:
        """Close the file; another process adopts it."""
        self._threads.shutdown(wait=True)
        self._index.close()
        if self._own is not None:
            os.fdatasync(self._own.fd)
            self._own.close()
            self._own = None

    def _report(self, key: LedgerKey, text: bytes) -> None:
        self._sequence += 1
        self._reported.pop(key, None)
        self._reported[key] = self._sequence, text
        if len(self._reported) - len(self._open) > FINISHED_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        ended = [key for key in self._reported if key not in self._open]
        for key in ended[: len(ended) // 10]:
            del self._reported[key]

    def _append(self, lines: list[bytes]) -> bool:
        try:
            if self._own is None:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                self._own = LedgerFile.create(self._path, [])
            self._own.append(lines)
        except OSError as error:
            self._log_once(error)
            return False
        self._failing = False
        if self._own.size > self._compact_at and self._is_synced():
            self._compact(self._own)
        return True

    def _sync_later(self) -> None:
        """Write to disk in a thread, because a disk may be slow."""
        if self._own is not None and self._is_synced():
            self._sync = self._threads.submit(os.fdatasync, self._own.fd)

    def _is_synced(self) -> bool:
        """Whether no thread is writing the file to disk."""
        if self._sync is not None and self._sync.done():
            error = self._sync.exception()
            if isinstance(error, OSError):
                self._log_once(error)
            self._sync = None
        return self._sync is None

    def _log_once(self, error: OSError) -> None:
        if not self._failing:
            log.write("ledger.write_failed", errno=error.errno)
        self._failing = True

    def _compact(self, before: LedgerFile) -> None:
        """Write the lines that are still needed to a new file of the same name: one for each proxy, and each reported
        life."""
        try:
            self._own = LedgerFile.create(self._path, self._compacted(before))
        except OSError as error:
            self._log_once(error)
            self._compact_at = before.size * 2
            return
        before.close()
        self._compact_at = max(_COMPACT_FROM, self._own.size * 4)

    def _compacted(self, file: LedgerFile) -> list[bytes]:
        """The lines that are still needed, a proxy's newest line after its others. Raises OSError."""
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
        taken = [taken_line(key) for key in kept if key not in self._reported]
        return [
            *(text for key, (_, text) in self._reported.items() if key not in kept),
            *(text for _, text in newest.values()),
            *taken,
        ]

    def _other_files(self) -> list[Path]:
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
        """Copy an orphaned file. A proxy that runs here keeps its newest line last. True if everything is on disk."""
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
        older = [text for text in lives.values() if text not in last]
        ours = [self._reported[key][1] for key in self._open if key[0] in latest]
        if not self._append([*older, *latest.values(), *ours]):
            return False
        if self._own is not None:
            os.fdatasync(self._own.fd)
        for key, text in lives.items():
            if key not in self._reported:
                self._report(key, text)
        return True
