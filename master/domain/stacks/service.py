"""Read, create, change and remove stacks, each in one transaction.

Lock order: the stack, placement among the nodes that may get new proxies, the nodes by id, their ips, the stack's row.
"""

from collections.abc import Sequence

from master.api.writes.outcomes import WriteOutcome, revisions_of
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import EventBatch, NewEvent, record_events
from master.domain.proxies.removal import scaled_event
from master.domain.proxies.settings import NO_EXPIRY, check_expiries
from master.domain.stacks.plan import SETTINGS, Applied, DesiredStack, apply, plan, plan_new
from master.domain.stacks.schemas import (
    NamedStack,
    NewStack,
    Stack,
    StackFilter,
    StackList,
    StackPage,
    StackPatch,
    stack,
)
from master.domain.stacks.template import PLACEMENT, Template, errors_in_proxy, patched_template, template_from
from master.errors import NotFound, PreconditionFailed, invalid_at
from master.schemas.filters import filter_parameters
from master.schemas.merge_patch import differing, patched
from shared.proxies import ProxyId

StackKey = int | str
"""A stack's id, or its name."""


async def get(session: Session, key: StackKey) -> Stack:
    """Return one stack. Raises NotFound."""
    id_ = key if isinstance(key, int) else (await select(session, key))["id"]
    where = filter_parameters(StackFilter(id=[id_]), StackFilter)
    rows = await session.rows("stacks.select_page by id", **where, after_id=None, limit=1)
    return stack(existing(rows[0] if rows else None, "stack", id_))


async def page(session: Session, query: StackList) -> StackPage:
    """Return a page of the stacks that match."""
    where = filter_parameters(query, StackFilter)
    rows = await session.rows(f"stacks.select_page by {query.sort}", **where, **query.position)
    items = [stack(row) for row in rows]
    shown = items if query.shows_secrets else [one.without_secrets() for one in items]
    return StackPage(items=shown, next=query.next_after(rows))


async def create(session: Session, body: NewStack, *, allow_past: bool = False) -> tuple[int, WriteOutcome]:
    """Create a stack; return its id. Raises Invalid, InsufficientCapacity; the transaction's end raises NameTaken."""
    desired = await desired_stack(session, body.name, body, allow_past=allow_past)
    await session.execute("stacks.lock_name", name=body.name)
    return await insert(session, desired)


async def put(
    session: Session,
    name: str,
    body: NamedStack,
    versions: frozenset[int] | None = None,
    *,
    allow_past: bool = False,
) -> tuple[int, WriteOutcome, bool]:
    """Create or change the stack of this name; also return whether it was created. Raises as create and change."""
    await session.execute("stacks.lock_name", name=name)
    row = await locked_if_there(session, name)
    desired = await desired_stack(session, name, body, row["proxy"] if row else NO_EXPIRY, allow_past=allow_past)
    if row is None:
        check_version({"version": None}, versions)
        return *await insert(session, desired), True
    check_version(row, versions)
    return row["id"], await update(session, row, desired, versions), False


async def change(
    session: Session,
    key: StackKey,
    body: StackPatch,
    versions: frozenset[int] | None = None,
    *,
    allow_past: bool = False,
) -> tuple[int, WriteOutcome]:
    """Change the given members; with `versions` only when the stack is at one of them.

    Raises NotFound, PreconditionFailed, Invalid, InsufficientCapacity, EngineMissing, ExitMissing, RotationUnderWay;
    NameTaken at the transaction's end.
    """
    row = await locked(session, key)
    check_version(row, versions)
    given = body.model_fields_set
    template: Template = row["proxy"]
    if "proxy" in given:
        with errors_in_proxy():
            template = patched_template(template, body.proxy)
            await check_placement(session, template, row["proxy"])
            await check_expiries(session, [(row["proxy"], template)], allow_past=allow_past)
    desired = DesiredStack(
        name=body.name if "name" in given else row["name"],
        spread=body.spread if "spread" in given else row["spread"],
        proxy=template,
        labels=patched(row["labels"], body.labels) if "labels" in given else row["labels"],
        count=body.count if "count" in given else None,
        remove=[ProxyId(id_) for id_ in body.remove] if "remove" in given else (),
    )
    return row["id"], await update(session, row, desired, versions)


async def remove(session: Session, key: StackKey, versions: frozenset[int] | None = None) -> WriteOutcome:
    """Remove a stack and its proxies. Raises NotFound, PreconditionFailed."""
    row = await locked(session, key)
    empty = DesiredStack(**{name: row[name] for name in SETTINGS}, count=0)
    plan_ = await plan(session, row["id"], empty)
    check_version(await select(session, row["id"]), versions)
    done = await apply(session, row["id"], plan_, row["proxy"], row["proxy"])
    await session.execute("stacks.delete", id=row["id"])
    details = {"name": row["name"], "count": len(plan_.delete)}
    deleted = NewEvent(type="stack.deleted", stack_id=row["id"], details=details)
    return await finish(session, done, [*done.events, deleted])


async def desired_stack(
    session: Session, name: str, body: NamedStack, template: Template = NO_EXPIRY, *, allow_past: bool
) -> DesiredStack:
    """Build the desired stack from a body with all members; `template` is the present one. Raises Invalid."""
    if body.name not in (None, name):
        raise invalid_at(f"the name differs from the path: {name}", "/name")
    with errors_in_proxy():
        new = template_from(body.proxy)
        new = {**new, "labels": {**session.implied_labels, **new["labels"]}}
        await check_placement(session, new, template)
        await check_expiries(session, [(template, new)], allow_past=allow_past)
    return DesiredStack(
        name=name, spread=body.spread, proxy=new, labels={**session.implied_labels, **body.labels}, count=body.count
    )


async def check_placement(session: Session, template: Template, before: Template) -> None:
    """Check that a template names locations or nodes, and that new ones exist. Raises Invalid."""
    if not any(name in template for name in PLACEMENT):
        raise invalid_at("give location_id, location_ids or node_ids", "/location_ids", "/node_ids")
    if (ids := template.get("location_ids")) != before.get("location_ids") and ids:
        found = await session.rows("placement.select_locations", ids=ids)
        check_found("location_ids", ids, found)
    if (ids := template.get("node_ids")) != before.get("node_ids") and ids:
        found = await session.rows("placement.select_nodes", ids=ids)
        check_found("node_ids", ids, found)


def check_found(member: str, ids: Sequence[int], found: Sequence[Row]) -> None:
    """Check that all these ids were found. Raises Invalid."""
    if missing := sorted(set(ids) - {row["id"] for row in found}):
        raise invalid_at(f"{member}: there is no {missing[0]}", f"/{member}")


async def insert(session: Session, desired: DesiredStack) -> tuple[int, WriteOutcome]:
    """Create a stack."""
    plan_ = await plan_new(session, desired)
    id_ = await session.value("stacks.insert", **desired.settings)
    done = await apply(session, id_, plan_, desired.proxy, desired.proxy)
    details = {"name": desired.name, "count": desired.count}
    created = NewEvent(type="stack.created", stack_id=id_, details=details)
    return id_, await finish(session, done, [created, *done.events])


async def update(session: Session, row: Row, desired: DesiredStack, versions: frozenset[int] | None) -> WriteOutcome:
    """Change a stack. If it is already as desired, nothing is written."""
    before = {name: row[name] for name in SETTINGS}
    if desired.settings == before and desired.count in (None, row["count"]) and not desired.remove:
        return WriteOutcome(matched=row["count"], changed=(), revisions={})
    plan_ = await plan(session, row["id"], desired)
    row = await select(session, row["id"])
    check_version(row, versions)
    await session.execute("stacks.update", id=row["id"], **desired.settings)
    done = await apply(session, row["id"], plan_, before["proxy"], desired.proxy)
    stack_events: list[NewEvent] = []
    if changed := differing(before, desired.settings):
        details = {"name": desired.name, "changed": changed}
        stack_events.append(NewEvent(type="stack.updated", stack_id=row["id"], details=details))
    if plan_.delete or plan_.create:
        now = {"id": row["id"], "name": desired.name}
        stack_events.append(scaled_event(now, row["count"], len(plan_.keep) + len(plan_.create)))
    return await finish(session, done, [*stack_events, *done.events])


async def finish(session: Session, done: Applied, events: Sequence[NewEvent | EventBatch]) -> WriteOutcome:
    """Record the events, as the last statements of the transaction."""
    revisions = await revisions_of(session, done.nodes)
    await record_events(session, events)
    return WriteOutcome(matched=len(done.changed), changed=tuple(done.changed), revisions=revisions)


async def select(session: Session, key: StackKey) -> Row:
    """Return the row of a stack. Raises NotFound."""
    if isinstance(key, int):
        return existing(await session.row("stacks.select_one", id=key), "stack", key)
    row = await session.row("stacks.select_named", name=key)
    if row is None:
        raise NotFound("there is no stack of this name", {"name": key})
    return row


async def locked(session: Session, key: StackKey) -> Row:
    """Lock a stack against other writes of it; return its row. Raises NotFound."""
    row = await select(session, key)
    await session.execute("stacks.lock", id=row["id"])
    return await select(session, row["id"])


async def locked_if_there(session: Session, name: str) -> Row | None:
    """Lock the stack of this name, if there is one, and return its row. It may be renamed or removed before that."""
    while (row := await session.row("stacks.select_named", name=name)) is not None:
        await session.execute("stacks.lock", id=row["id"])
        now = await session.row("stacks.select_named", name=name)
        if now is not None and now["id"] == row["id"]:
            return now
    return None


def check_version(row: Row, versions: frozenset[int] | None) -> None:
    """Check that the stack is at one of these versions; a new one has none. Raises PreconditionFailed."""
    if versions is None or row["version"] in versions:
        return
    if row["version"] is None:
        raise PreconditionFailed("there is no such stack yet, so it is at no version")
    raise PreconditionFailed(f"the stack is at version {row['version']}", {"version": row["version"]})
