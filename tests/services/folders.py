"""Where a run keeps its data, logs and secrets, and the unprivileged account that its services run as."""

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
"""Environment variable: which of several processes this is (pytest-xdist)."""


@dataclass(frozen=True)
class Folder:
    """One run's folder."""

    path: Path
    durable: bool
    """Whether the data is kept for a next run."""

    @property
    def label(self) -> str:
        """Of this run's containers, as tests/leash.py looks for it."""
        return Path(os.environ.get(RUN, self.path)).name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def private(self, name: str, account: Account | None = None) -> Path:
        """A subfolder for one owner's eyes."""
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            give(path, account)
        return path

    def secret(self, name: str) -> str:
        """A password drawn once for this folder."""
        path = self.private("secrets") / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(18))
        return path.read_text()


def ensure_room(folder: Folder) -> None:
    """Raises ProgramError when a cluster would not fit, or the broker would hold all messages back (disk alarm)."""
    free = shutil.disk_usage(folder.path).free
    if free < ROOM:
        raise ProgramError(
            f"{folder.path} has {free // MIB} MiB of free space and a cluster needs {ROOM // MIB}: "
            "free some, or choose another disk by TMPDIR or --keep DIR"
        )


def scratch() -> Folder:
    """The folder that tests/leash.py made for this run, else a new one of the caller's own.

    Of several processes that share a run's tests each has a part of it, with services of its own.
    """
    given = os.environ.get(RUN)
    path = Path(given, os.environ.get(PART, "")) if given else Path(tempfile.mkdtemp(prefix="maybe-run-"))
    path.mkdir(exist_ok=True)
    path.chmod(0o711)
    return Folder(path, durable=False)


def remove(folder: Folder) -> None:
    """Delete a scratch folder that no leash will delete."""
    if not folder.durable and RUN not in os.environ:
        shutil.rmtree(folder.path, ignore_errors=True)


def kept(path: Path) -> Folder:
    """A folder that outlives the run. Raises ProgramError when the services' account cannot reach it."""
    account = unprivileged()
    above = [each for each in path.resolve().parents if each.exists()]
    closed = [each for each in above if not each.stat().st_mode & stat.S_IXOTH]
    if account and closed:
        raise ProgramError(
            f"{path}: PostgreSQL does not run as root, and the user {pwd.getpwuid(account.uid).pw_name} cannot enter "
            f"{closed[-1]}; choose a folder elsewhere, for example /var/tmp/maybe-proxy"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(path.stat().st_mode | stat.S_IXOTH)
        (path / "lock").touch()
    except OSError as error:
        raise ProgramError(
            f"nothing can be kept in {path}: {error.strerror}; choose another folder for --keep"
        ) from error
    return Folder(path.resolve(), durable=True)


def unprivileged() -> Account | None:
    """Whom to run services as: nobody, when this is root (PostgreSQL refuses root); else ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def give(path: Path, account: Account) -> None:
    """Make it, and all below, the account's own."""
    for each in [path, *path.rglob("*")]:
        os.chown(each, account.uid, account.gid, follow_symlinks=False)


def output_as(account: Account | None, *command: str) -> str | None:
    """What a short command prints when the account runs it; None when it cannot. Raises ProgramError."""
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
