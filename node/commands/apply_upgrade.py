"""`maybe-node apply-upgrade`: carries out the request that waits, or finishes or undoes an interrupted upgrade."""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from node.upgrade.agent import AgentControl, Patience
from node.upgrade.copy_backup import BackupFailed, user_of
from node.upgrade.decisions import Refused, check_direction, is_answered, resumed
from node.upgrade.layout import CODE, Layout, layout_of
from node.upgrade.records import BadRecord, Journal
from node.upgrade.store import UpgradeStore
from node.upgrade.unpacking import LAUNCHER, verify
from node.upgrade.untrusted import UntrustedFile, check_trusted
from node.upgrade.upgrader import Upgrader
from node.upgrade.versions import Versions

DONE, FAILED, BUSY = 0, 1, 75
"""Exit codes. 75 is EX_TEMPFAIL of sysexits.h: another installation is at work."""
LOCK_S = 60.0
TRY_EVERY_S = 0.2


def main(arguments: Sequence[str], code: Path = CODE) -> int:
    """Run the command and return the exit code."""
    options = parser().parse_args(arguments)
    data_dir = os.environ.get("NODE_DATA_DIR")
    layout = layout_of(code, Path(data_dir) if data_dir else None)
    if layout is None:
        log("this code was not installed by install.sh; upgrade it as it was installed (pip, or a newer image)")
        return FAILED
    patience = Patience(
        restart_s=options.restart_seconds,
        health_s=options.health_seconds,
        check_s=options.check_seconds,
        steady_s=options.steady_seconds,
    )
    try:
        check_folders(layout)
        with nullcontext() if options.locked else sole_upgrade(layout):
            agent = AgentControl(layout, user_of(layout.data_dir), options.systemctl, patience)
            return apply_unpacked(layout, agent, options) if options.unpacked else apply(layout, agent)
    except (BadRecord, UntrustedFile, Refused, BackupFailed, OSError) as error:
        log(str(error))
        return BUSY if isinstance(error, BlockingIOError) else FAILED


def parser() -> argparse.ArgumentParser:
    """Build the parser of this command."""
    made = argparse.ArgumentParser(prog=f"{LAUNCHER} apply-upgrade", description=__doc__)
    made.add_argument("--unpacked", metavar="VERSION", help="upgrade to this version, which lies in versions/ already")
    made.add_argument("--allow-downgrade", action="store_true", help="with --unpacked: it may be older")
    made.add_argument("--locked", action="store_true", help="the caller holds the lock")
    made.add_argument("--systemctl", default="systemctl", metavar="PROGRAM", help="controls the agent: systemctl")
    limits = Patience()
    for name in ("restart", "health", "check", "steady"):
        seconds = float(getattr(limits, f"{name}_s"))
        made.add_argument(f"--{name}-seconds", type=float, default=seconds, metavar="S", help=f"default: {seconds:.0f}")
    return made


def check_folders(layout: Layout) -> None:
    """Make the folders of an upgrade, and check that nobody else could exchange one. Raises Untrusted, OSError."""
    layout.work.mkdir(mode=0o700, exist_ok=True)
    layout.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    owner = os.geteuid()
    for folder in (layout.versions, layout.work, layout.state_dir, layout.keys_file.parent, layout.data_dir.parent):
        check_trusted(folder, owner)


@contextmanager
def sole_upgrade(layout: Layout) -> Generator[None]:
    """Hold the lock that keeps upgrades and install.sh apart. Raises BlockingIOError, OSError."""
    folder = os.open(layout.work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        limit = time.monotonic() + LOCK_S
        while not is_locked(folder):
            if time.monotonic() > limit:
                raise BlockingIOError(f"another upgrade or installation of {layout.prefix} is at work")
            time.sleep(TRY_EVERY_S)
        yield
    finally:
        os.close(folder)


def is_locked(folder: int) -> bool:
    """Try to lock the folder; whether it is ours now. Raises OSError."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def apply(layout: Layout, agent: AgentControl) -> int:
    """Finish or undo what was interrupted, or else carry out the request that waits. Raises several."""
    store = UpgradeStore(layout, agent.user)
    upgrader = Upgrader(layout, agent, store, log)
    recover(upgrader, store)
    journal = begun(layout, store)
    if journal is not None:
        upgrader.run(journal)
        drop_request(store)
    return DONE


def apply_unpacked(layout: Layout, agent: AgentControl, options: argparse.Namespace) -> int:
    """Upgrade by hand, as install.sh does: the caller has verified the version in its folder. Raises several."""
    store, versions = UpgradeStore(layout, agent.user), Versions(layout)
    upgrader = Upgrader(layout, agent, store, log)
    recover(upgrader, store)
    verify(versions.folder(options.unpacked), options.unpacked)
    before = versions.installed()
    check_direction(options.unpacked, before, downgrade=options.allow_downgrade)
    journal = Journal(version=options.unpacked, before=before, step="installing")
    return DONE if upgrader.run(journal).state == "done" else FAILED


def recover(upgrader: Upgrader, store: UpgradeStore) -> None:
    """Finish or undo an interrupted upgrade. Raises several."""
    journal, state = store.journal(), store.state()
    if journal is None:
        return
    if journal.request is not None and is_answered(journal.request, state):
        upgrader.clean_up()
        return
    log(f"the upgrade to {journal.version} was interrupted while {journal.step}")
    try:
        journal = resumed(journal)
    except Refused as error:
        upgrader.refuse(journal, str(error))
        return
    upgrader.run(journal)


def begun(layout: Layout, store: UpgradeStore) -> Journal | None:
    """Begin the journal of the request that waits; None when none does. Raises BadRecord, Refused, OSError."""
    try:
        before, request = Versions(layout).installed(), store.request()
    except (BadRecord, Refused, OSError):
        store.remove_request()
        raise
    if request is not None and is_answered(request, store.state()):
        store.remove_request()
        return None
    return None if request is None else Journal(version=request.version, before=before, request=request)


def drop_request(store: UpgradeStore) -> None:
    """Remove the request, unless a later one has taken its place by now. Raises BadRecord, BackupFailed, OSError."""
    try:
        request = store.request()
    except (BadRecord, OSError):
        request = None
    if request is None or is_answered(request, store.state()):
        store.remove_request()


def log(text: str) -> None:
    """Write a line for the journal of systemd, or for a person."""
    print(f"maybe-node: {text}", file=sys.stderr, flush=True)
