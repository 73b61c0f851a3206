"""Decisions of an upgrade: what is refused, what an interrupted upgrade does next, and what a report contains. Pure."""

from dataclasses import dataclass

from node.upgrade.records import FINAL, STATE_OF, BadVersions, Journal, NodeUpgradeState, Step
from shared.messages.bodies import UpgradeReport, UpgradeRequest
from shared.release.manifest import BundleFile, Manifest
from shared.release.versions import BadVersion, is_older

ATTEMPTS = 3
"""Interruptions after which an upgrade is given up: it may be what ends the host."""
ROOM_FACTOR = 7
"""Bytes on disk for each byte of a bundle: the file, its content (3.5 times as large) and the compiled modules."""
ROOM_FLOOR = 16 << 20
"""Bytes that have to stay free for the node itself."""

UNTOUCHED: tuple[Step, ...] = ("fetching", "verifying", "installing")
"""The steps before which nothing of the installed version has changed."""
DECIDED: tuple[Step, ...] = ("committing", "undoing")
"""The steps after which an upgrade has only one way to go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPlatform:
    """What a bundle has to fit: the Python (3.11) that runs the present one if that came without its own, and the
    machine."""

    python: str | None
    machine: str
    libc: str


class Refused(Exception):
    """The upgrade is not carried out; the text is the reason. The installed version is untouched."""


def check_order(request: UpgradeRequest, manifest: Manifest, *, installed: str, bad: BadVersions) -> None:
    """Check that this manifest may follow the installed version. Its signature was checked before. Raises Refused."""
    version = manifest.version
    if version != request.version:
        raise Refused(f"version {request.version} was requested, but the manifest is of {version}")
    reason = bad.reason(request.sha256)
    if reason is not None:
        raise Refused(f"version {version} was rolled back on this node before: {reason}")
    check_direction(version, installed, downgrade=request.downgrade)
    try:
        if is_older(installed, manifest.min_upgradable_from):
            least = manifest.min_upgradable_from
            raise Refused(f"version {version} needs {least} or later to be installed before, but {installed} is")
    except BadVersion as error:
        raise Refused(f"the installed version {installed!r} {error}") from error


def check_direction(version: str, installed: str, *, downgrade: bool) -> None:
    """Check that a version is not older than the installed one, unless that is wanted. Raises Refused."""
    try:
        if is_older(version, installed) and not downgrade:
            raise Refused(f"version {version} is older than the installed {installed}, and no downgrade was requested")
    except BadVersion as error:
        raise Refused(f"the version {version!r} or the installed {installed!r} {error}") from error


def chosen_file(manifest: Manifest, host: HostPlatform) -> BundleFile:
    """Choose the bundle for this host: of the kind that is installed, or else a full one. Raises Refused."""
    for python in dict.fromkeys((host.python, None)):
        found = manifest.file_for(python=python, machine=host.machine, libc=host.libc)
        if found is not None:
            return found
    thin = f" for Python {host.python}" if host.python else ""
    raise Refused(f"version {manifest.version} has no bundle{thin} for {host.machine} with {host.libc} libc")


def check_room(needed: int, free: int, where: str) -> None:
    """Check that the disk has room. Raises Refused."""
    if free < needed + ROOM_FLOOR:
        raise Refused(f"{where} has {free >> 20} MiB free, but the upgrade needs {(needed + ROOM_FLOOR) >> 20} MiB")


def bundle_room(file: BundleFile) -> int:
    """Bytes that a bundle needs on disk while it is installed."""
    return file.size * ROOM_FACTOR


def resumed(journal: Journal) -> Journal:
    """Decide how an interrupted upgrade goes on.

    An untouched installation lets it start over. Between the flip and a decision it is taken up at the flip, which is
    repeatable. A decision is completed. What is interrupted again and again is given up: undone, or refused when
    nothing was changed. Raises Refused.
    """
    if journal.step in DECIDED:
        return journal
    if journal.request is None and journal.step in UNTOUCHED:
        raise Refused(f"the upgrade by hand was interrupted while {journal.step}; run it again")
    attempts = journal.attempts + 1
    step: Step = "fetching" if journal.step in UNTOUCHED else "flipping"
    if attempts < ATTEMPTS:
        return journal.model_copy(update={"step": step, "attempts": attempts})
    reason = f"the upgrade was interrupted {attempts} times, the last time while {journal.step}"
    if journal.step in UNTOUCHED:
        raise Refused(reason)
    return journal.model_copy(update={"step": "undoing", "reason": reason, "attempts": attempts})


def is_answered(request: UpgradeRequest, state: NodeUpgradeState | None) -> bool:
    """Whether the request, or a later one, was carried out already."""
    return state is not None and (request.id < state.id or (request.id == state.id and state.state in FINAL))


def shown(journal: Journal, request: UpgradeRequest, at: str) -> NodeUpgradeState:
    """Return the public state at this step."""
    state = STATE_OF[journal.step]
    return NodeUpgradeState(id=request.id, version=journal.version, before=journal.before, state=state, at=at)


def upgrade_report(unable: str, request: UpgradeRequest | None, state: NodeUpgradeState | None) -> UpgradeReport:
    """Derive what a report contains from what is on disk.

    `unable` is why the node cannot upgrade itself, empty when it can. `request` waits for being carried out.
    """
    able = not unable
    if request is not None and not is_answered(request, state) and (state is None or request.id != state.id):
        reason = unable or "waiting for maybe-node-upgrade.service"
        return UpgradeReport(able=able, id=request.id, version=request.version, reason=reason[:300])
    if state is None:
        return UpgradeReport(able=able, reason=unable[:300])
    reason = state.reason or unable
    return UpgradeReport(able=able, id=state.id, version=state.version, state=state.state, reason=reason[:300])
