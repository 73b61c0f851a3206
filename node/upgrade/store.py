"""Files of the upgrade on disk: the journal, the public state, the versions that were rolled back, the request."""

import hashlib
import os
import stat
from pathlib import Path

from node.upgrade.copy_backup import User, forget
from node.upgrade.decisions import Refused
from node.upgrade.durable import remove_file
from node.upgrade.layout import Layout
from node.upgrade.reading import FOLDER, REQUEST, read_own, read_request
from node.upgrade.records import BadVersions, Journal, NodeUpgradeState, VersionRolledBack, written
from shared.durable_files import write_file
from shared.messages.bodies import UpgradeRequest
from shared.release.signing import KEYS_LIMIT, read_public_keys

RESERVE = 65_536


class UpgradeStore:
    """Reads and writes the files of one installation."""

    def __init__(self, layout: Layout, user: User) -> None:
        self._layout, self._user = layout, user

    def request(self) -> UpgradeRequest | None:
        """Read the request that waits, if there is one. Raises BadRecord, OSError."""
        return read_request(self._layout.data_dir)

    def remove_request(self) -> None:
        """Remove the request as its owner: this process writes in no folder of another user. Raises BackupFailed."""
        forget(self._layout.data_dir, self._user, f"{FOLDER}/{REQUEST}")

    def keep_reserve(self) -> None:
        """Occupy some room, so that the end can be written when the disk is full by then. Raises OSError."""
        self._layout.reserve_file.write_bytes(bytes(RESERVE))

    def use_reserve(self) -> None:
        """Free the room for the last writes. Raises OSError."""
        self._layout.reserve_file.unlink(missing_ok=True)

    def journal(self) -> Journal | None:
        """Read the journal of an upgrade under way. Raises BadRecord, OSError."""
        return read_own(Journal, self._layout.journal_file)

    def write_journal(self, journal: Journal) -> None:
        """Write the journal durably. Raises OSError."""
        write_file(self._layout.journal_file, written(journal), 0o600)

    def remove_journal(self) -> None:
        """Remove the journal: the upgrade has ended. Raises OSError."""
        remove_file(self._layout.journal_file)

    def state(self) -> NodeUpgradeState | None:
        """Read the state of the last upgrade. Raises BadRecord, OSError."""
        return read_own(NodeUpgradeState, self._layout.state_file)

    def write_state(self, state: NodeUpgradeState) -> None:
        """Write the state for everybody to read. Raises OSError."""
        write_file(self._layout.state_file, written(state))

    def bad_versions(self) -> BadVersions:
        """Read the versions that were rolled back. Raises BadRecord, OSError."""
        return read_own(BadVersions, self._layout.bad_file) or BadVersions()

    def mark_bad(self, version: str, manifest: str, reason: str, at: str) -> None:
        """Note that a version was rolled back. Raises BadRecord, OSError."""
        bad = VersionRolledBack(version=version, manifest=manifest, reason=reason, at=at)
        write_file(self._layout.bad_file, written(self.bad_versions().with_one(bad)))


def manifest_keys(layout: Layout) -> tuple[str, ...]:
    """Read the keys that this host trusts, and no others. Raises Refused, BadKey, OSError."""
    path = layout.keys_file
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise Refused(f"{path} is not a file that its owner alone can write")
    with path.open("rb") as file:
        return read_public_keys(file.read(KEYS_LIMIT + 1).decode("ascii", "replace"))


def check_checksum(raw: bytes, sha256: str) -> None:
    """Check that a manifest is the requested one. Raises Refused."""
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise Refused("the manifest has not the requested SHA-256; the master may have a newer one by now")


def free_bytes(folder: Path) -> int:
    """Return the bytes that may be written to the file system of a folder. Raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
