"""The position of each proxy's newest line in the files of all workers, updated as the files grow."""

import os
from pathlib import Path

from node.engine.builtin.accounting.ledger_entry import key_of
from node.engine.builtin.accounting.ledger_file import SUFFIX, LedgerFile


class LedgerIndex:
    """Stores one number per proxy and file, not the lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[LedgerFile, dict[int, int]]] = {}

    def refresh(self) -> None:
        """Read new lines of all files. Raises OSError."""
        while not self._refresh_all():
            pass

    def newest(self, proxy_id: int) -> list[bytes]:
        """The last line of this proxy in each file that has one, as of the last `refresh`. Raises OSError."""
        return [file.line_at(positions[proxy_id]) for file, positions in self._files.values() if proxy_id in positions]

    def close(self) -> None:
        for file, _ in self._files.values():
            file.close()
        self._files.clear()

    def _refresh_all(self) -> bool:
        """False if a file vanished meanwhile; it was copied into another one before, which has to be read again."""
        names = {name for name in listed(self._folder) if name.endswith(SUFFIX)}
        for name in self._files.keys() - names:
            self._files.pop(name)[0].close()
        return all(self._refresh_file(name) for name in sorted(names))

    def _refresh_file(self, name: str) -> bool:
        """Read new lines of one file; False if it has vanished."""
        try:
            known = self._files.get(name)
            if known is not None and not known[0].is_current():
                self._files.pop(name)[0].close()
                known = None
        except FileNotFoundError:
            return False
        if known is None:
            file = LedgerFile.open(self._folder / name)
            if file is None:
                return False
            known = self._files[name] = file, {}
        _index_lines(*known)
        return True


def listed(folder: Path) -> list[str]:
    """The files of a folder; none if it does not exist yet. Raises OSError."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _index_lines(file: LedgerFile, positions: dict[int, int]) -> None:
    if os.fstat(file.fd).st_size > file.size:
        for position, text in file.lines(file.size):
            file.size = position + len(text) + 1
            key = key_of(text)
            if key is not None:
                positions[key[0]] = position
