"""The state of a node in an upgrade, derived from its reports and the database's clock. Pure.

Acknowledgements of messages do not count: a node is at a version when it reports it, and every state in between has a
deadline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from master.domain.upgrades.schemas import FleetUpgradeState, UpgradeNodeState
from shared.release.versions import BadVersion, version_order

ASKED = timedelta(minutes=2)
"""How long a node may take to report that it got its request."""
FETCHING = timedelta(minutes=15)
"""How long a node may take to download, verify and unpack a bundle."""
RESTARTING = timedelta(minutes=10)
"""How long a node may take to restart its agent and to check that its proxies serve."""
MOST = timedelta(hours=1)
"""How long a node may take until it soaks, whatever it reports meanwhile."""
SOAK_SLACK = timedelta(minutes=5)
REPORT_EVERY = timedelta(seconds=20)
"""Nodes report every 15 s or so."""

WAITING: tuple[UpgradeNodeState, ...] = ("waiting", "unreachable")
UNDER_WAY: tuple[UpgradeNodeState, ...] = ("asked", "fetching", "restarting", "soaking")
FAILED: tuple[UpgradeNodeState, ...] = ("rolled_back", "failed")
SETTLED: tuple[UpgradeNodeState, ...] = ("done", "skipped", *FAILED)
LIMITS: Mapping[UpgradeNodeState, timedelta] = {"asked": ASKED, "fetching": FETCHING, "restarting": RESTARTING}
RESTARTING_STATES = ("restarting", "checking")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedUpgrade:
    """The last request that a node reports."""

    able: bool
    request: int | None
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenNode:
    """What is known of a node by its latest report, and what an operator has decided about it."""

    online: bool
    reported_at: datetime
    session: int
    agent: str
    failed: int
    pinned: str | None = None
    leaving: bool = False
    upgrade: ReportedUpgrade | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradePlan:
    """What an upgrade does to its nodes."""

    version: str
    min_upgradable_from: str
    canary: int
    batch_size: int
    soak: timedelta
    most_failed: int
    forgiven: int = 0
    downgrade: bool = False
    state: FleetUpgradeState = "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeNode:
    """A node of an upgrade. `at` is when its state began; `seen` is None when the node was removed."""

    node_id: int
    name: str
    place: int
    from_version: str
    at: datetime
    seen: SeenNode | None = field(compare=False)
    state: UpgradeNodeState = "waiting"
    reason: str | None = None
    request: int | None = None
    asked_at: datetime | None = None
    sent_at: datetime | None = None
    deadline: datetime | None = None
    soak_until: datetime | None = None
    soak_limit: datetime | None = None
    session: int = 0
    failed_before: int = 0

    @property
    def is_answered(self) -> bool:
        """Whether the node reports the request that it was sent last."""
        upgrade = self.seen.upgrade if self.seen else None
        return self.request is not None and upgrade is not None and upgrade.request == self.request


def enter(node: UpgradeNode, state: UpgradeNodeState, now: datetime, reason: str | None = None) -> UpgradeNode:
    """Return the node in another state, with the deadline of that state."""
    limit = LIMITS.get(state)
    deadline = None if limit is None else min(now + limit, (node.asked_at or now) + MOST)
    return replace(node, state=state, reason=reason, at=now, deadline=deadline)


def follow(node: UpgradeNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return the node as its latest report and the time have it."""
    if node.state in ("done", "skipped"):
        return node
    if node.seen is None:
        return node if node.state in FAILED else enter(node, "skipped", now, "the node was removed")
    if node.state in WAITING:
        return placed(node, node.seen, plan, now)
    if node.state in FAILED:
        is_late = node.soak_until is None and has_arrived(node, node.seen, plan)
        return begin_soak(node, node.seen, plan, now) if is_late else node
    step = soak if node.state == "soaking" else progressed
    return step(node, node.seen, plan, now)


def placed(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return the node before it is asked: at the version, left out, not reachable, or waiting."""
    if seen.agent == plan.version:
        return enter(node, "done", now, f"it ran {plan.version} before it was asked")
    obstacle = decided_obstacle(seen, plan) or (reported_obstacle(seen, plan) if seen.online else None)
    if obstacle:
        return enter(node, "skipped", now, obstacle)
    if seen.online:
        return node if node.state == "waiting" else enter(node, "waiting", now)
    reason = "it is offline; it is asked when it returns"
    return node if node.state == "unreachable" else enter(node, "unreachable", now, reason)


def decided_obstacle(seen: SeenNode, plan: UpgradePlan) -> str | None:
    """Return why an operator's decision leaves the node out, or None."""
    if seen.leaving:
        return "it is being removed"
    if seen.pinned is not None and seen.pinned != plan.version:
        return f"it is pinned to {seen.pinned}"
    return None


def reported_obstacle(seen: SeenNode, plan: UpgradePlan) -> str | None:
    """Return why the node, as it reports itself, cannot take part, or None."""
    if seen.upgrade is None:
        return f"its agent {seen.agent or 'of an unknown version'} knows no upgrades: upgrade it by the install line"
    if not seen.upgrade.able:
        return "it cannot upgrade itself (a container, or not installed by the install script): upgrade it by hand"
    try:
        own = version_order(seen.agent)
    except BadVersion:
        return f"its version {seen.agent!r} cannot be compared with {plan.version}"
    if own > version_order(plan.version) and not plan.downgrade:
        return f"it runs {seen.agent}, which is newer"
    if own < version_order(plan.min_upgradable_from):
        return f"it runs {seen.agent}, and {plan.version} takes over from {plan.min_upgradable_from} or later only"
    return None


def has_arrived(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan) -> bool:
    """Whether the node runs the version, and is not about to check it or to go back."""
    is_final = not node.is_answered or (seen.upgrade is not None and seen.upgrade.state == "done")
    return seen.agent == plan.version and is_final


def progressed(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return a node that was asked and has not arrived yet."""
    if has_arrived(node, seen, plan):
        return begin_soak(node, seen, plan, now)
    if node.is_answered and seen.upgrade is not None:
        node = answered(node, seen, seen.upgrade, now)
    elif node.state != "asked" and seen.upgrade is not None:
        # A replaced host knows nothing of the request of its predecessor.
        node = replace(enter(node, "asked", now), sent_at=None)
    if node.state in SETTLED or node.deadline is None or now < node.deadline:
        return node
    return overdue(node, seen, plan, now)


def answered(node: UpgradeNode, seen: SeenNode, upgrade: ReportedUpgrade, now: datetime) -> UpgradeNode:
    """Return the node in the state that it reports. States that only newer nodes know count as fetching."""
    match upgrade.state:
        case "rolled_back":
            return enter(node, "rolled_back", now, upgrade.reason or "the node gives no reason")
        case "refused":
            return enter(node, "failed", now, f"it refused: {upgrade.reason or 'the node gives no reason'}")
        case "done":
            return enter(node, "failed", now, f"it reports to be done, but runs {seen.agent}")
        case _:
            state: UpgradeNodeState = "restarting" if upgrade.state in RESTARTING_STATES else "fetching"
            return node if state == node.state else enter(node, state, now)


def overdue(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return the node after its deadline. One that is silent is waited for until it counts as offline."""
    if seen.online and node.deadline is not None and seen.reported_at < node.deadline:
        return node
    if node.state == "asked" and plan.state not in ("running", "done"):
        return enter(node, "skipped" if plan.state == "aborted" else "waiting", now)
    silence = "reports no progress" if seen.online else "went silent"
    return enter(node, "failed", now, f"it {silence} while it was {node.state}")


def begin_soak(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return the node at the version; it is watched for a while."""
    until, limit = now + plan.soak, now + 2 * plan.soak + SOAK_SLACK
    return replace(enter(node, "soaking", now), soak_until=until, soak_limit=limit, session=seen.session)


def soak(node: UpgradeNode, seen: SeenNode, plan: UpgradePlan, now: datetime) -> UpgradeNode:
    """Return a node that soaks, after a look at its latest report."""
    if node.soak_until is None or node.soak_limit is None:
        raise ValueError(f"node {node.node_id} soaks without an end")
    if seen.agent != plan.version:
        reason = seen.upgrade.reason if node.is_answered and seen.upgrade else ""
        return enter(node, "rolled_back", now, reason or f"it runs {seen.agent} again")
    if seen.session != node.session and now < node.soak_limit:
        return replace(node, session=seen.session, soak_until=now + plan.soak)
    if now < node.soak_until:
        return node
    trouble = soak_trouble(node, seen)
    if trouble is not None:
        return enter(node, "failed", now, trouble)
    is_heard = seen.reported_at >= node.soak_until - REPORT_EVERY
    return enter(node, "done", now) if is_heard else node


def soak_trouble(node: UpgradeNode, seen: SeenNode) -> str | None:
    """Return what is wrong with a node at the end of its soak, or None."""
    if seen.session != node.session:
        return "its agent started again and again while it soaked"
    if not seen.online:
        return "it went silent while it soaked"
    if seen.failed > node.failed_before:
        return f"{seen.failed} of its proxies fail, {node.failed_before} did before"
    return None


def postponed(node: UpgradeNode, pause: timedelta, now: datetime) -> UpgradeNode:
    """Return the node with its times after a pause in which no master could hear it."""
    least = now + timedelta(minutes=1)

    def later(time: datetime | None) -> datetime | None:
        return None if time is None else max(time + pause, least)

    times = {name: later(getattr(node, name)) for name in ("deadline", "soak_until", "soak_limit")}
    return replace(node, **times) if node.state in UNDER_WAY else node
