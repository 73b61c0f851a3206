"""Writes files that appear when they are complete."""

import os
from pathlib import Path


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file with exactly this mode, which replaces an existing one. Raises OSError."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
