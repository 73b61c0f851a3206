"""What the page loads first: its packed form if that was made from the sources as they are, else the sources.

`hatch_build.py` packs the sources and writes beside the packed files which sources they were made from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ValidationError

from master.web.files import CONTENTS, FOLDER

IMPORT = re.compile(r"""(?:^|;)(?:import|export)\b[^;(=]*?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)
"""An import of a module as our own files and those of third parties write it."""


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """Paths below the folder of the page's files."""

    style: str
    entry: str
    modules: tuple[str, ...]
    """What the entry imports, and what that imports in turn: named in the page, so that no import waits for another."""


class PackedContents(BaseModel):
    """How the packed form was made."""

    sources: Mapping[str, str]
    """The SHA-256 of each source by its path below the folder."""
    modules: tuple[str, ...]


def first_load() -> FirstLoad:
    """Return what the page loads first."""
    return packed() or unpacked()


def packed() -> FirstLoad | None:
    """Return the packed form; None if there is none, or if it was made from other sources."""
    try:
        contents = PackedContents.model_validate_json(CONTENTS.read_bytes())
        if any(sha256((FOLDER / name).read_bytes()).hexdigest() != made for name, made in contents.sources.items()):
            return None
    except (FileNotFoundError, ValidationError):
        return None
    here = CONTENTS.parent.name
    return FirstLoad(f"{here}/page.css", f"{here}/main.js", tuple(f"{here}/{name}" for name in contents.modules))


def unpacked() -> FirstLoad:
    """Return the sources."""
    return FirstLoad("style/page.css", "main.js", tuple(needed("main.js")[1:]))


def needed(name: str) -> list[str]:
    """Return a module and everything that it imports in turn, by their paths below the folder."""
    found: list[str] = []
    waiting = [FOLDER / name]
    while waiting:
        path: Path = waiting.pop()
        here = path.relative_to(FOLDER).as_posix()
        if here not in found:
            found.append(here)
            waiting += [(path.parent / other).resolve() for other in IMPORT.findall(path.read_text())]
    return found
