"""Write one change of many proxies in a few statements, however many they are.

Proxies that share their settings are changed and checked as one group, in Python; the database then writes each proxy
whose settings differ. So the work outside the database grows with the number of groups, which is small for most fleets,
and lets other requests be answered in between where it is not.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from master.api.writes.outcomes import WriteOutcome, outcomes_by_node, revisions_of
from master.db.database import Row, Session
from master.domain.events.log import EventBatch, record_events
from master.domain.proxies.changes import (
    LOGIN,
    SHARED_SETTINGS,
    ChangeRule,
    OwnLogin,
    SettingsChange,
    change_of_group,
    check_engines,
    check_exits,
    is_drawn,
)
from master.domain.proxies.removal import record_removals
from master.domain.proxies.settings import LOGIN_LETTERS, check_expiries, random_texts
from master.errors import rotation_under_way
from shared.proxies import ProxyId
from shared.tasks import in_turns

ROTATED = frozenset({"port", "username", "password", "engine", "exit"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """Proxies of which the same settings have changed."""

    changed: tuple[str, ...]
    ids: Sequence[ProxyId]


async def change_proxies(
    session: Session, ids: Sequence[ProxyId], nodes: Iterable[Row], rule: ChangeRule, *, allow_past: bool
) -> WriteOutcome:
    """Change proxies of these locked nodes. Raises Invalid, EngineMissing, ExitMissing, RotationUnderWay."""
    changes = await plan_changes(session, ids, rule)
    await check_expiries(session, [(one.before, one.after) for one in changes], allow_past=allow_past)
    check_engines(nodes, changes)
    check_exits(nodes, changes)
    outcome, events = await write_changes(session, changes, rule)
    await record_events(session, events)
    return outcome


async def select_groups(session: Session, ids: Sequence[ProxyId]) -> list[Row]:
    """Return the proxies grouped by node and shared settings, in the order of the first id of each group."""
    return sorted(await session.rows("proxies.select_groups", ids=ids), key=lambda row: min(row["ids"]))


async def plan_changes(session: Session, ids: Sequence[ProxyId], rule: ChangeRule) -> list[SettingsChange]:
    """Work out the new settings of each group of these proxies, whose nodes are locked. Raises Invalid."""
    return [change_of_group(row, rule) async for row in in_turns(await select_groups(session, ids))]


async def write_changes(
    session: Session, changes: Sequence[SettingsChange], rule: ChangeRule
) -> tuple[WriteOutcome, list[EventBatch]]:
    """Write the settings that differ; return the events to record. The nodes are locked. Raises RotationUnderWay."""
    await set_schedules(session, [one for one in changes if "rotation" in one.changed])
    rows = await session.rows("proxies.update_many", **await update_parameters(changes, rule))
    await check_rotating(session, [id_ for row in rows if ROTATED.intersection(row["changed"]) for id_ in row["ids"]])
    await record_removals(session, stopped_proxies(changes))
    revisions = await revisions_of(session, {row["node_id"] for row in rows})
    matched = Counter(one.node_id for one in changes for _ in one.ids)
    changed = Counter(row["node_id"] for row in rows for _ in row["ids"])
    outcome = WriteOutcome(
        matched=matched.total(),
        changed=tuple(sorted(id_ for row in rows for id_ in row["ids"])),
        revisions=revisions,
        by_node=outcomes_by_node(matched, changed),
    )
    return outcome, updated_events(written_of(rows))


async def update_parameters(changes: Sequence[SettingsChange], rule: ChangeRule) -> dict[str, Any]:
    """Return the parameters of `update_many`: the change of each group, and which proxies it concerns."""
    texts = [json.dumps(group_values(number, one, rule)) async for number, one in in_turns(list(enumerate(changes)))]
    return {
        "changes": f"[{','.join(texts)}]",
        "ids": [id_ for one in changes for id_ in one.ids],
        "numbers": [number for number, one in enumerate(changes) for _ in one.ids],
        "usernames": drawn_texts("username", changes, rule),
        "passwords": drawn_texts("password", changes, rule),
        "label_patch": {key: value for key, value in rule.labels.items() if value is not None},
        "labels_removed": [key for key, value in rule.labels.items() if value is None],
    }


def group_values(number: int, change: SettingsChange, rule: ChangeRule) -> dict[str, Any]:
    """Return the settings that all proxies of a group get, and which parts of their own logins they keep."""
    after = change.after
    keeps = {f"keeps_{name}": isinstance(after[name], OwnLogin) for name in LOGIN}
    login = {name: None if is_drawn(name, change, rule) or keeps[f"keeps_{name}"] else after[name] for name in LOGIN}
    shared = {name: after[name] for name in SHARED_SETTINGS if name != "rotation"}
    changed = [name for name in SHARED_SETTINGS if after[name] != change.before[name]]
    return {"number": number, **shared, **keeps, **login, "changed": changed}


def drawn_texts(name: str, changes: Iterable[SettingsChange], rule: ChangeRule) -> list[str | None]:
    """Draw a user name or password for each proxy that gets another one of its own; None for the others."""
    found: list[str | None] = []
    for one in changes:
        if is_drawn(name, one, rule):
            found += random_texts(len(one.ids), LOGIN_LETTERS[name])
        else:
            found += [None] * len(one.ids)
    return found


def stopped_proxies(changes: Iterable[SettingsChange]) -> Counter[int]:
    """Count by node the proxies that the node has to stop."""
    counts = Counter[int]()
    for one in changes:
        if one.stops_proxies:
            counts[one.node_id] += len(one.ids)
    return counts


async def set_schedules(session: Session, changes: Sequence[SettingsChange]) -> None:
    """Write the schedules of these changes."""
    if changes:
        await session.execute(
            "proxies.set_schedules",
            ids=[id_ for one in changes for id_ in one.ids],
            numbers=[number for number, one in enumerate(changes) for _ in one.ids],
            rotations=[one.after["rotation"] for one in changes],
        )


async def check_rotating(session: Session, ids: Sequence[ProxyId]) -> None:
    """Refuse a change of settings that a rotation of these proxies is about to replace. Raises RotationUnderWay."""
    rotating = await session.row("proxies.select_next_endpoints", proxy_ids=ids) if ids else None
    if rotating is not None:
        raise rotation_under_way(rotating["proxy_id"], rotating["rotation_id"])


def written_of(rows: Iterable[Row]) -> list[Written]:
    """Join the rows of all nodes that have the same settings changed."""
    ids = defaultdict[tuple[str, ...], list[ProxyId]](list)
    for row in rows:
        ids[tuple(sorted(row["changed"]))] += row["ids"]
    return [Written(changed=changed, ids=of) for changed, of in ids.items()]


def updated_events(written: Sequence[Written]) -> list[EventBatch]:
    """Return the events of these changes."""
    if not written:
        return []
    columns = {
        "ids": [id_ for one in written for id_ in one.ids],
        "numbers": [number for number, one in enumerate(written) for _ in one.ids],
        "changed": [one.changed for one in written],
    }
    return [EventBatch(statement="proxies.insert_updated_events", columns=columns)]
