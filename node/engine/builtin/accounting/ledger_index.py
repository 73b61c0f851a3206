"""Where the newest line of each proxy is in the files of all workers, followed as they grow."""

import os
from pathlib import Path

from node.engine.builtin.accounting.ledger_entry import key_of
from node.engine.builtin.accounting.ledger_file import SUFFIX, LedgerFile


class LedgerIndex:
    """Keeps a number per proxy and file, not the lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[LedgerFile, dict[int, int]]] = {}

    def follow(self) -> None:
        """Reads on to what is there now. Raises OSError."""
        while not self._read_on():
            pass

    def newest(self, proxy_id: int) -> list[bytes]:
        """The last line of this proxy in each file that has one, as of the last `follow`. Raises OSError."""
        return [file.line_at(places[proxy_id]) for file, places in self._files.values() if proxy_id in places]

    def close(self) -> None:
        for file, _ in self._files.values():
            file.close()
        self._files.clear()

    def _read_on(self) -> bool:
        """False: a file vanished meanwhile; it was copied into another before, which must be read on again."""
        names = {name for name in listed(self._folder) if name.endswith(SUFFIX)}
        for name in self._files.keys() - names:
            self._files.pop(name)[0].close()
        return all(self._follow(name) for name in sorted(names))

    def _follow(self, name: str) -> bool:
        """Whether the file is still there."""
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
        _learn(*known)
        return True


def listed(folder: Path) -> list[str]:
    """A folder that is not there yet holds nothing. Raises OSError."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _learn(file: LedgerFile, places: dict[int, int]) -> None:
    if os.fstat(file.fd).st_size > file.size:
        for position, text in file.lines(file.size):
            file.size = position + len(text) + 1
            key = key_of(text)
            if key is not None:
                places[key[0]] = position
