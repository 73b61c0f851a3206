"""Symlinks that are replaced whole or not at all, and folders, also by a power loss."""

import os
import shutil
from pathlib import Path

from shared.durable_files import sync_folder


def remove_file(path: Path) -> None:
    """Remove a file if it is there. Raises OSError."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def point(link: Path, target: Path) -> None:
    """Make a symlink point to a folder beside or below it, by a relative path. Raises OSError."""
    wanted = str(target.relative_to(link.parent))
    if link.is_symlink() and os.readlink(link) == wanted:
        return
    aside = link.with_name(f".{link.name}.new")
    aside.unlink(missing_ok=True)
    aside.symlink_to(wanted)
    aside.rename(link)
    sync_folder(link.parent)


def sync_tree(folder: Path) -> None:
    """Write a folder and everything in it to disk. Raises OSError."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                sync_file(path)
        sync_folder(Path(parent))


def sync_file(path: Path) -> None:
    """Write a file to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder and everything in it, or a file, if it is there. Raises OSError."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
