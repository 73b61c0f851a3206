"""Folders for data, logs and secrets of a run, and the unprivileged account of its services."""

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.services.leash import RUN
from tests.services.programs import Account, ProgramError

ANSWER_S = 120.0
MIB = 1 << 20
ROOM = 200 * MIB
PART = "PYTEST_XDIST_WORKER"
"""Environment variable with the name of this process among several (pytest-xdist)."""


@dataclass(frozen=True)
class Folder:
    """The folder of one run."""

    path: Path
    durable: bool
    """Whether the data is kept for a next run."""

    @property
    def label(self) -> str:
        """Label of this run's containers, by which tests.services.leash finds them."""
        return Path(os.environ.get(RUN, self.path)).name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def private(self, name: str, account: Account | None = None) -> Path:
        """Create a subfolder that only its owner may read."""
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            give(path, account)
        return path

    def secret(self, name: str) -> str:
        """Return a password that is drawn once per folder and name."""
        path = self.private("secrets") / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(18))
        return path.read_text()


def ensure_room(folder: Folder) -> None:
    """Raise ProgramError if the disk is too full for a cluster, or would cause a disk alarm of the broker."""
    free = shutil.disk_usage(folder.path).free
    if free < ROOM:
        raise ProgramError(
            f"{folder.path} has {free // MIB} MiB of free space, but a cluster needs {ROOM // MIB} MiB: "
            "free some space, or choose another disk by TMPDIR or --keep DIR"
        )


def scratch() -> Folder:
    """Return the folder that the leash made for this run, or else a new one.

    When several processes share the tests of a run, each has a subfolder with services of its own.
    """
    given = os.environ.get(RUN)
    path = Path(given, os.environ.get(PART, "")) if given else Path(tempfile.mkdtemp(prefix="maybe-run-"))
    path.mkdir(exist_ok=True)
    path.chmod(0o711)
    return Folder(path, durable=False)


def remove(folder: Folder) -> None:
    """Delete a scratch folder, unless the leash does it."""
    if not folder.durable and RUN not in os.environ:
        shutil.rmtree(folder.path, ignore_errors=True)


def kept(path: Path) -> Folder:
    """Open or create a folder that outlives the run. Raises ProgramError if the services' account cannot use it."""
    account = unprivileged()
    above = [each for each in path.resolve().parents if each.exists()]
    closed = [each for each in above if not each.stat().st_mode & stat.S_IXOTH]
    if account and closed:
        raise ProgramError(
            f"{path}: PostgreSQL does not run as root, and the user {pwd.getpwuid(account.uid).pw_name} cannot enter "
            f"{closed[-1]}; choose another folder, for example /var/tmp/maybe-proxy"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(path.stat().st_mode | stat.S_IXOTH)
        (path / "lock").touch()
    except OSError as error:
        raise ProgramError(
            f"data cannot be kept in {path}: {error.strerror}; choose another folder for --keep"
        ) from error
    return Folder(path.resolve(), durable=True)


def unprivileged() -> Account | None:
    """Return the account for services: "nobody" if this is root, which PostgreSQL refuses; else None, for our own."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def give(path: Path, account: Account) -> None:
    """Change the owner of a path and everything below it."""
    for each in [path, *path.rglob("*")]:
        os.chown(each, account.uid, account.gid, follow_symlinks=False)


def output_as(account: Account | None, *command: str) -> str | None:
    """Run a short command as the account and return its output; None if it fails. Raises ProgramError."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=ANSWER_S,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{' '.join(command)} did not answer within {ANSWER_S:.0f} s") from error
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
