"""Installed versions: how one is placed, made the current one, taken back, and removed."""

import os
import platform
from pathlib import Path

from node.upgrade.compilation import OWN_PYTHON, compile_modules, minor_version
from node.upgrade.decisions import HostPlatform, Refused
from node.upgrade.durable import point, remove_tree, sync_tree
from node.upgrade.layout import Layout
from node.upgrade.unpacking import verify
from shared.durable_files import sync_folder, write_file

UNITS = ("maybe-node.service", "maybe-node-upgrade.service", "maybe-node-upgrade.path")


class Versions:
    """The folder of versions, and the symlinks that choose among them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def installed(self) -> str:
        """Return the version that `current` points to. Raises Refused."""
        version = pointed(self._layout.current)
        if version is None:
            raise Refused(f"{self._layout.current} is not a link to an installed version; run the install line again")
        return version

    def folder(self, version: str) -> Path:
        """Return the folder of a version."""
        return self._layout.versions / version

    def is_whole(self, version: str) -> bool:
        """Whether this version is installed, with every file as it was in its bundle."""
        try:
            verify(self.folder(version), version)
        except (Refused, OSError):
            return False
        return True

    def host(self, version: str) -> HostPlatform:
        """Describe this host for the choice of a bundle of the same kind as this version."""
        python = None if (self.folder(version) / OWN_PYTHON).exists() else minor_version()
        libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
        return HostPlatform(python=python, machine=platform.machine(), libc=libc)

    def place(self, unpacked: Path, version: str, bundle_sha256: str) -> None:
        """Compile a verified folder and make it the one of this version. Raises Refused, OSError.

        A folder of this version that is there is damaged, and is not the current one.
        """
        compile_modules(unpacked, bundle_sha256)
        sync_tree(unpacked)
        remove_tree(self.folder(version))
        unpacked.rename(self.folder(version))
        sync_folder(self._layout.versions)

    def place_units(self, version: str) -> bool:
        """Replace the units that are installed and differ from this version's; whether any did. Raises OSError."""
        source = self.folder(version) / ("systemd/user" if self._layout.is_user else "systemd")
        replaced = False
        for unit in UNITS:
            ours, theirs = source / unit, self._layout.units_dir / unit
            if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes():
                write_file(theirs, ours.read_bytes())
                replaced = True
        return replaced

    def flip(self, before: str, version: str) -> None:
        """Make a version the current one, and keep at hand how to take it back on a full disk. Raises OSError."""
        point(self._layout.upgrader, self.folder(before))
        point(self._layout.current, self.folder(version))

    def flip_back(self, before: str) -> None:
        """Make the version from before the current one again. Needs no room on the disk. Raises OSError."""
        layout = self._layout
        if pointed(layout.current) == before:
            return
        if pointed(layout.upgrader) == before:
            layout.upgrader.rename(layout.current)
            sync_folder(layout.prefix)
        else:
            point(layout.current, self.folder(before))

    def commit(self, before: str) -> None:
        """Remember the version from before as the previous one, and remove older ones. Raises OSError."""
        if before != self.installed():
            point(self._layout.previous, self.folder(before))
        self.prune()

    def prune(self) -> None:
        """Remove versions that are neither current nor previous, and that no process runs. Raises OSError."""
        layout = self._layout
        kept = {pointed(link) for link in (layout.current, layout.previous, layout.upgrader)}
        for folder in layout.versions.iterdir():
            if folder.name not in kept and not is_used(folder):
                remove_tree(folder)

    def discard(self, version: str) -> None:
        """Remove a version that was rolled back, unless a process still runs it. Raises OSError."""
        if version not in (pointed(self._layout.current), pointed(self._layout.previous)):
            folder = self.folder(version)
            if not is_used(folder):
                remove_tree(folder)

    def end(self) -> None:
        """Remove the link that only an upgrade under way has. Raises OSError."""
        self._layout.upgrader.unlink(missing_ok=True)
        sync_folder(self._layout.prefix)


def pointed(link: Path) -> str | None:
    """Return the version that a link points to; None for what is no link to an installed version."""
    try:
        target = Path(os.readlink(link))
    except OSError:
        return None
    return target.name if target.parent.name == "versions" and link.is_dir() else None


def is_used(folder: Path) -> bool:
    """Whether a process runs code of this folder: workers of the engine outlive several versions."""
    mark = f"{folder}/".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if mark in (process / "cmdline").read_bytes():
                    return True
            except OSError:
                continue  # it has ended meanwhile
    return False
