"""The next step of an upgrade: which nodes are asked, and whether it stops. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from master.domain.upgrades.following import (
    FAILED,
    SETTLED,
    UNDER_WAY,
    UpgradeNode,
    UpgradePlan,
    enter,
    follow,
    postponed,
)
from master.domain.upgrades.schemas import FleetUpgradeState, UpgradeNodeState

RESEND = timedelta(seconds=15)
STRAGGLERS = timedelta(minutes=2)
"""An upgrade ends so long after its last change when only unreachable nodes are left. They are asked on return."""
AWAY = timedelta(seconds=30)
"""A pause between two steps in which reports may have been missed."""
FORGOTTEN = timedelta(hours=1)
"""A pause after which an upgrade is paused: most likely the database is an older one that was restored."""
FAR_FUTURE = timedelta(days=366)
ASKING: tuple[FleetUpgradeState, ...] = ("running", "done")
"""States of an upgrade in which nodes are asked. One that is done has unreachable nodes at most."""
RESTORED = "the database was restored or no master ran for an hour: resume it if it is still wanted"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeStep:
    """The nodes as they are now, those to send a request to, and the state of the upgrade."""

    nodes: Sequence[UpgradeNode]
    send: Sequence[UpgradeNode]
    state: FleetUpgradeState
    reason: str | None


def next_step(
    nodes: Sequence[UpgradeNode], plan: UpgradePlan, checked_at: datetime, now: datetime, *, obstacle: str | None = None
) -> UpgradeStep:
    """Decide the next step. With `obstacle`, a reason why this master has nothing to offer, nobody is asked.

    `nodes` are in the order in which they are asked, and `checked_at` is the time of the step before.
    """
    pause = now - checked_at
    if pause > FORGOTTEN and plan.state == "running":
        return UpgradeStep(nodes=nodes, send=(), state="paused", reason=RESTORED)
    if pause > AWAY:
        nodes = [postponed(node, pause, now) for node in nodes]
    nodes = [follow(node, plan, now) for node in nodes]
    state, reason = outcome(nodes, plan, now)
    if obstacle is not None and state in ASKING and any(node.state == "waiting" for node in nodes):
        return UpgradeStep(nodes=nodes, send=(), state=state, reason=reason or obstacle)
    nodes = ask_next(nodes, replace(plan, state=state), now)
    send = [node for node in nodes if state in ASKING and is_due(node, now)]
    sent = {node.node_id for node in send}
    nodes = [replace(node, sent_at=now) if node.node_id in sent else node for node in nodes]
    return UpgradeStep(nodes=nodes, send=[node for node in nodes if node.node_id in sent], state=state, reason=reason)


def outcome(nodes: Sequence[UpgradeNode], plan: UpgradePlan, now: datetime) -> tuple[FleetUpgradeState, str | None]:
    """Return the state of the upgrade, and why it is halted."""
    failed = failed_nodes(nodes)
    if plan.state in ASKING and len(failed) - plan.forgiven > plan.most_failed:
        return "halted", halt_reason(failed, plan)
    if plan.state == "running" and is_over(nodes, now):
        return "done", None
    return plan.state, None


def failed_nodes(nodes: Sequence[UpgradeNode]) -> list[UpgradeNode]:
    """Return the nodes that failed or went back, the last one first."""
    return sorted((node for node in nodes if node.state in FAILED), key=lambda node: node.at, reverse=True)


def halt_reason(failed: Sequence[UpgradeNode], plan: UpgradePlan) -> str:
    """Describe why an upgrade is halted, by the node that failed last."""
    count = len(failed) - plan.forgiven
    many = f"{count} nodes" if count > 1 else "1 node"
    last = failed[0]
    return f"{many} failed, and most_failed is {plan.most_failed}: node {last.node_id} ({last.name}): {last.reason}"


def is_over(nodes: Sequence[UpgradeNode], now: datetime) -> bool:
    """Whether nothing is left to do but to wait for unreachable nodes, and nothing has changed for a while."""
    open_ = [node for node in nodes if node.state not in SETTLED]
    if any(node.state != "unreachable" for node in open_):
        return False
    return not open_ or all(node.at <= now - STRAGGLERS for node in nodes)


def ask_next(nodes: Sequence[UpgradeNode], plan: UpgradePlan, now: datetime) -> list[UpgradeNode]:
    """Return the nodes, of which as many as may be under way are asked, in their order."""
    chosen = {node.node_id for node in [node for node in nodes if node.state == "waiting"][: room(nodes, plan)]}
    return [asked(node, now) if node.node_id in chosen else node for node in nodes]


def room(nodes: Sequence[UpgradeNode], plan: UpgradePlan) -> int:
    """Return how many nodes may be asked now. Until as many as `canary` are done, they are alone."""
    if plan.state not in ASKING:
        return 0
    done = sum(node.state == "done" and node.asked_at is not None for node in nodes)
    limit = min(plan.canary - done, plan.batch_size) if done < plan.canary else plan.batch_size
    return max(0, limit - sum(node.state in UNDER_WAY for node in nodes))


def asked(node: UpgradeNode, now: datetime) -> UpgradeNode:
    """Return the node with a new request."""
    if node.seen is None:
        raise ValueError(f"node {node.node_id} was removed")
    reported = node.seen.upgrade.request if node.seen.upgrade else None
    request = new_request(now, (node.request, reported))
    fresh = replace(node, request=request, asked_at=now, sent_at=None, failed_before=node.seen.failed)
    return enter(fresh, "asked", now)


def new_request(now: datetime, known: Sequence[int | None]) -> int:
    """Return an id above those that the node knows, also after a restore of the database and when the clock went back.

    An id of the far future is none that a master gave.
    """
    own, most = (int(time.timestamp() * 1_000_000) for time in (now, now + FAR_FUTURE))
    return max([own, *(id_ + 1 for id_ in known if id_ is not None and id_ < most)])


def is_due(node: UpgradeNode, now: datetime) -> bool:
    """Whether the node is sent its request now."""
    if node.state != "asked" or node.is_answered or node.seen is None or not node.seen.online:
        return False
    return node.sent_at is None or node.sent_at <= now - RESEND


def counts(nodes: Sequence[UpgradeNode]) -> Mapping[UpgradeNodeState, int]:
    """Count the nodes by state."""
    return Counter(node.state for node in nodes)
