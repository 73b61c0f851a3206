"""Names where ids may stand: `location: "Frankfurt"` is read as `location_id: 1` before anything else looks at it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from master.db.database import Database, Session
from master.errors import Invalid
from master.schemas.base import Query
from master.schemas.fields import ID_BY_NAME
from master.schemas.similar_names import likely

MOST_NAMES = 1_000
"""That are compared with one that there is not: 20 ms."""
SHOWN_NAMES = 10

NameLookup = Mapping[str, Mapping[str, int]]
"""Of locations, nodes and stacks, each by name."""
M = TypeVar("M", bound=BaseModel)

QUERIES: Mapping[str, tuple[str, str]] = {
    "location": ("names.location", "names.locations"),
    "node": ("names.node", "names.nodes"),
    "stack": ("names.stack", "names.stacks"),
}
"""For the ids of some names, and for all names."""
THINGS: Mapping[str, str] = {
    "location": "location",
    "locations": "location",
    "node": "node",
    "nodes": "node",
    "stack": "stack",
}


async def with_ids(session: Session, said: M) -> M:
    """The body or query with ids instead of names. Raises Invalid for a name that there is not, or two that differ."""
    wanted: dict[str, dict[str, str]] = {}
    for thing, name, where in names_in(said):
        wanted.setdefault(thing, {}).setdefault(name, where)
    if not wanted:
        return without_names(said)
    ids = {thing: await ids_of(session, thing, list(names)) for thing, names in wanted.items()}
    for thing, names in wanted.items():
        for name, where in names.items():
            if name not in ids[thing]:
                rows = await session.rows(QUERIES[thing][1], most=MOST_NAMES)
                raise wrong(said, where, absence(thing, name, [row["name"] for row in rows]))
    return replaced(said, said, ids, "")


async def named(database: Database, said: M) -> M:
    """As `with_ids`, with a connection for only as long as names are looked up."""
    if not any(names_in(said)):
        return without_names(said)
    async with database.session() as session:
        return await with_ids(session, said)


async def ids_of(session: Session, thing: str, names: Sequence[str]) -> dict[str, int]:
    """By name, of those that there are."""
    return {row["name"]: row["id"] for row in await session.rows(QUERIES[thing][0], names=names)}


def absence(thing: str, name: str, known: Sequence[str]) -> str:
    """What to say of a name that there is not."""
    near = likely(name, known)
    some = ", ".join(known[:SHOWN_NAMES]) + (", ..." if len(known) > SHOWN_NAMES else "")
    return f'there is no {thing} "{name}"; ' + (f'did you mean "{near}"?' if near else f"known: {some or 'none'}")


def names_in(said: BaseModel, at: str = "") -> Iterator[tuple[str, str, str]]:
    """(what, its name, where it stands) of each, in nested models too."""
    for field in said.model_fields_set:
        value = getattr(said, field)
        if isinstance(value, BaseModel):
            yield from names_in(value, f"{at}/{field}")
        elif field in ID_BY_NAME and isinstance(value, str):
            yield THINGS[field], value, f"{at}/{field}"
        elif field in ID_BY_NAME and value is not None:
            yield from ((THINGS[field], name, f"{at}/{field}/{place}") for place, name in enumerate(value))


def without_names(said: M) -> M:
    """The same without names; one that is null is a null id."""
    return replaced(said, said, {}, "")


def replaced(said: M, whole: BaseModel, ids: NameLookup, at: str) -> M:
    """Names replaced by ids, all of which are known. Raises Invalid when both are given and differ."""
    changes: dict[str, Any] = {}
    for field in said.model_fields_set:
        value = getattr(said, field)
        if isinstance(value, BaseModel):
            changes[field] = replaced(value, whole, ids, f"{at}/{field}")
        elif field in ID_BY_NAME:
            target, own = ID_BY_NAME[field], id_or_ids(value, ids.get(THINGS[field], {}))
            given = getattr(said, target)
            if is_said(said, field) and is_said(said, target) and given != own and not is_same_list(given, own):
                raise wrong(whole, f"{at}/{field}", f"{field} and {target} are given and differ")
            changes |= {field: None, **({target: own} if is_said(said, field) else {})}
    if not changes:
        return said
    copy = said.model_copy(update=changes)
    copy.__pydantic_fields_set__.difference_update(ID_BY_NAME)
    return copy


def is_said(said: BaseModel, field: str) -> bool:
    """Whether the field says anything: null does not where it is the default, which clients may send."""
    has_null_default = type(said).model_fields[field].default is None
    return field in said.model_fields_set and not (has_null_default and getattr(said, field) is None)


def id_or_ids(value: str | list[str] | None, ids: Mapping[str, int]) -> int | list[int] | None:
    """Of one name, or of each of several once, in order: the order of names says nothing."""
    if isinstance(value, list):
        return sorted({ids[name] for name in value})
    return None if value is None else ids[value]


def is_same_list(one: object, other: object) -> bool:
    """Whether two lists have the same members."""
    if not isinstance(one, list) or not isinstance(other, list):
        return False
    return set(cast("list[int]", one)) == set(cast("list[int]", other))


def wrong(said: BaseModel, where: str, detail: str) -> Invalid:
    """Points at the parameter of a query or the member of a body."""
    key, place = ("parameter", where[1:]) if isinstance(said, Query) else ("pointer", where)
    return Invalid(f"{place}: {detail}", {"errors": [{key: place, "detail": detail}]})
