"""Stacks: reading them, and bringing one to what is wanted of it, in one transaction.

Lock order: placement, the nodes by id, their ips, the stack's row.
"""

from collections.abc import Sequence

from master.api.outcomes import WriteOutcome, revisions_of
from master.db.database import Row, Session
from master.db.rows import existing
from master.domain.events.log import NewEvent, record_events
from master.domain.proxies import removal
from master.domain.proxies.expiry import NO_END, check_ends
from master.domain.proxies.service import lock_placement
from master.domain.proxies.stack_counts import scaled
from master.domain.stacks.plan import SETTINGS, DesiredStack, apply, plan, plan_first
from master.domain.stacks.schemas import NamedStack, NewStack, Stack, StackFilter, StackList, StackPatch, stack
from master.domain.stacks.template import PLACES, Template, altered, kept, of_proxies
from master.errors import NotFound, PreconditionFailed, pointed
from master.schemas.base import filter_parameters
from master.schemas.merge_patch import differing, patched
from shared.proxies import NodeId, ProxyId

StackKey = int | str
"""A stack's id, or its name."""


async def get(session: Session, key: StackKey) -> Stack:
    """Raises NotFound."""
    id_ = key if isinstance(key, int) else (await select(session, key))["id"]
    rows = await session.rows("stacks.select_page", id=id_, name=None, labels=[], after=0, limit=1)
    return stack(existing(rows[0] if rows else None, "stack", id_))


async def page(session: Session, query: StackList) -> list[Stack]:
    """Those that match, by id."""
    where = filter_parameters(query, StackFilter)
    rows = await session.rows("stacks.select_page", id=None, **where, after=query.after, limit=query.limit)
    return [stack(row) for row in rows]


async def create(session: Session, body: NewStack, *, allow_past: bool = False) -> tuple[int, WriteOutcome]:
    """Its id, and what was done. Raises Invalid, InsufficientCapacity; the transaction's end raises NameTaken."""
    goal = await stated(session, body.name, body, allow_past=allow_past)
    await lock_placement(session)
    return await begin(session, goal)


async def put(
    session: Session,
    name: str,
    body: NamedStack,
    versions: frozenset[int] | None = None,
    *,
    allow_past: bool = False,
) -> tuple[int, WriteOutcome, bool]:
    """The stack of this name as it shall be; also whether it was made. Raises as the others do."""
    await lock_placement(session)
    row = await session.row("stacks.select_named", name=name)
    goal = await stated(session, name, body, row["proxy"] if row else NO_END, allow_past=allow_past)
    if row is None:
        check_version({"version": None}, versions)
        return *await begin(session, goal), True
    check_version(row, versions)
    return row["id"], await bring(session, row, goal, versions), False


async def change(
    session: Session,
    key: StackKey,
    body: StackPatch,
    versions: frozenset[int] | None = None,
    *,
    allow_past: bool = False,
) -> tuple[int, WriteOutcome]:
    """Only what is said; with `versions` only when the stack is at one of them.

    Raises NotFound, PreconditionFailed, Invalid, InsufficientCapacity, EngineMissing, ExitMissing, RotationUnderWay;
    NameTaken at the transaction's end.
    """
    await lock_placement(session)
    row = await select(session, key)
    check_version(row, versions)
    said = body.model_fields_set
    template: Template = row["proxy"]
    if "proxy" in said:
        with of_proxies():
            template = altered(template, body.proxy)
            await check_places(session, template, row["proxy"])
            await check_ends(session, [(row["proxy"], template)], allow_past=allow_past)
    goal = DesiredStack(
        name=body.name if "name" in said else row["name"],
        spread=body.spread if "spread" in said else row["spread"],
        proxy=template,
        labels=patched(row["labels"], body.labels) if "labels" in said else row["labels"],
        count=body.count if "count" in said else None,
        remove=[ProxyId(id_) for id_ in body.remove] if "remove" in said else (),
    )
    return row["id"], await bring(session, row, goal, versions)


async def remove(session: Session, key: StackKey, versions: frozenset[int] | None = None) -> WriteOutcome:
    """With its proxies. Raises NotFound, PreconditionFailed."""
    await lock_placement(session)
    row = await select(session, key)
    nothing = DesiredStack(**{name: row[name] for name in SETTINGS}, count=0)
    course = await plan(session, row["id"], nothing)
    check_version(await select(session, row["id"]), versions)
    outcome = await removal.take_away(session, course.goes)
    await session.execute("stacks.delete", id=row["id"])
    details = {"name": row["name"], "count": len(course.goes)}
    deleted = NewEvent(type="stack.deleted", stack_id=row["id"], details=details)
    await record_events(session, [*map(removal.deleted, course.goes), deleted])
    return outcome


async def stated(
    session: Session, name: str, body: NamedStack, template: Template = NO_END, *, allow_past: bool
) -> DesiredStack:
    """All of a stack, as it is said; what is there is `template`. Raises Invalid."""
    if body.name not in (None, name):
        raise pointed(f"the path says another name: {name}", "/name")
    with of_proxies():
        wanted = kept(body.proxy)
        await check_places(session, wanted, template)
        await check_ends(session, [(template, wanted)], allow_past=allow_past)
    return DesiredStack(name=name, spread=body.spread, proxy=wanted, labels=body.labels, count=body.count)


async def check_places(session: Session, template: Template, before: Template) -> None:
    """Raises Invalid when no place is named, or a new one is not there."""
    if not any(name in template for name in PLACES):
        raise pointed("say where: location_id, location_ids or node_ids", "/location_ids", "/node_ids")
    if (ids := template.get("location_ids")) != before.get("location_ids") and ids:
        found = await session.rows("placement.select_locations", ids=ids)
        check_known("location_ids", ids, found)
    if (ids := template.get("node_ids")) != before.get("node_ids") and ids:
        found = await session.rows("placement.select_nodes", ids=ids)
        check_known("node_ids", ids, found)


def check_known(member: str, ids: Sequence[int], found: Sequence[Row]) -> None:
    """Raises Invalid when one is not there."""
    if missing := sorted(set(ids) - {row["id"] for row in found}):
        raise pointed(f"{member}: there is no {missing[0]}", f"/{member}")


async def begin(session: Session, goal: DesiredStack) -> tuple[int, WriteOutcome]:
    """A stack that was not there."""
    course = await plan_first(session, goal)
    id_ = await session.value("stacks.insert", **goal.settings)
    touched, events = await apply(session, id_, course, goal.proxy, goal.proxy)
    details = {"name": goal.name, "count": goal.count}
    return id_, await ended(session, touched, [NewEvent(type="stack.created", stack_id=id_, details=details), *events])


async def bring(session: Session, row: Row, goal: DesiredStack, versions: frozenset[int] | None) -> WriteOutcome:
    """A stack that was there; nothing at all is done when it is so already."""
    before = {name: row[name] for name in SETTINGS}
    if goal.settings == before and goal.count in (None, row["count"]) and not goal.remove:
        return WriteOutcome(matched=row["count"], changed=(), revisions={})
    course = await plan(session, row["id"], goal)
    row = await select(session, row["id"])
    check_version(row, versions)
    await session.execute("stacks.update", id=row["id"], **goal.settings)
    touched, events = await apply(session, row["id"], course, before["proxy"], goal.proxy)
    stack_events: list[NewEvent] = []
    if changed := differing(before, goal.settings):
        details = {"name": goal.name, "changed": changed}
        stack_events.append(NewEvent(type="stack.updated", stack_id=row["id"], details=details))
    if course.goes or course.comes:
        now = {"id": row["id"], "name": goal.name}
        stack_events.append(scaled(now, row["count"], len(course.stays) + len(course.comes)))
    return await ended(session, touched, [*stack_events, *events])


async def ended(session: Session, touched: set[NodeId], events: Sequence[NewEvent]) -> WriteOutcome:
    """The last thing in the transaction."""
    revisions = await revisions_of(session, touched)
    await record_events(session, events)
    ids = [ProxyId(event.proxy_id) for event in events if event.proxy_id is not None]
    return WriteOutcome(matched=len(ids), changed=tuple(ids), revisions=revisions)


async def select(session: Session, key: StackKey) -> Row:
    """Raises NotFound."""
    if isinstance(key, int):
        return existing(await session.row("stacks.select_one", id=key), "stack", key)
    row = await session.row("stacks.select_named", name=key)
    if row is None:
        raise NotFound("there is no stack of this name", {"name": key})
    return row


def check_version(row: Row, versions: frozenset[int] | None) -> None:
    """Raises PreconditionFailed; a stack that is not there has no version."""
    if versions is None or row["version"] in versions:
        return
    if row["version"] is None:
        raise PreconditionFailed("there is no such stack yet, so it is at no version")
    raise PreconditionFailed(f"the stack is at version {row['version']}", {"version": row["version"]})
