"""Replaces names by ids: `location: "Frankfurt"` becomes `location_id: 1` before a service reads the request."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from master.db.database import Database, Session
from master.errors import Invalid
from master.schemas.base import Query
from master.schemas.fields import ID_BY_NAME
from master.schemas.similar_names import likely

MAX_NAMES = 1_000
"""The most names that are compared with an unknown one: it takes 20 ms."""
SHOWN_NAMES = 10

NameLookup = Mapping[str, Mapping[str, int]]
"""Ids of locations, nodes and stacks, by name."""
M = TypeVar("M", bound=BaseModel)

QUERIES: Mapping[str, tuple[str, str]] = {
    "location": ("names.location", "names.locations"),
    "node": ("names.node", "names.nodes"),
    "stack": ("names.stack", "names.stacks"),
}
"""The statements for the ids of some names, and for all names."""
THINGS: Mapping[str, str] = {
    "location": "location",
    "locations": "location",
    "node": "node",
    "nodes": "node",
    "stack": "stack",
    "not_location": "location",
    "not_node": "node",
    "not_stack": "stack",
}


async def with_ids(session: Session, model: M) -> M:
    """Return the body or query with ids instead of names. Raises Invalid for an unknown name, or a name and an id that
    differ.
    """
    unresolved: dict[str, dict[str, str]] = {}
    for thing, name, where in names_in(model):
        unresolved.setdefault(thing, {}).setdefault(name, where)
    if not unresolved:
        return without_names(model)
    ids = {thing: await ids_of(session, thing, list(names)) for thing, names in unresolved.items()}
    for thing, names in unresolved.items():
        for name, where in names.items():
            if name not in ids[thing]:
                rows = await session.rows(QUERIES[thing][1], most=MAX_NAMES)
                raise wrong(model, where, absence(thing, name, [row["name"] for row in rows]))
    return replaced(model, model, ids, "")


async def named(database: Database, model: M) -> M:
    """Do the same as `with_ids`, but hold a connection only while names are looked up."""
    if not any(names_in(model)):
        return without_names(model)
    async with database.session() as session:
        return await with_ids(session, model)


async def ids_of(session: Session, thing: str, names: Sequence[str]) -> dict[str, int]:
    """Return the ids of the known names, by name."""
    return {row["name"]: row["id"] for row in await session.rows(QUERIES[thing][0], names=names)}


def absence(thing: str, name: str, known: Sequence[str]) -> str:
    """Describe an unknown name, with a similar one or some of the known ones."""
    near = likely(name, known)
    some = ", ".join(known[:SHOWN_NAMES]) + (", ..." if len(known) > SHOWN_NAMES else "")
    return f'there is no {thing} "{name}"; ' + (f'did you mean "{near}"?' if near else f"known: {some or 'none'}")


def names_in(model: BaseModel, at: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (thing, name, pointer) for each name, also in nested models."""
    for field in model.model_fields_set:
        value, where = getattr(model, field), f"{at}/{sent_name(model, field)}"
        if isinstance(value, BaseModel):
            yield from names_in(value, where)
        elif field in ID_BY_NAME and isinstance(value, str):
            yield THINGS[field], value, where
        elif field in ID_BY_NAME and value is not None:
            yield from ((THINGS[field], name, f"{where}/{place}") for place, name in enumerate(value))


def sent_name(model: BaseModel, field: str) -> str:
    """Return the name by which a field is sent."""
    return type(model).model_fields[field].alias or field


def without_names(model: M) -> M:
    """Return the model without names; a name that is null becomes an id that is null."""
    return replaced(model, model, {}, "")


def replaced(model: M, whole: BaseModel, ids: NameLookup, at: str) -> M:
    """Replace names by ids, all of which are known. Raises Invalid if both are given and differ."""
    changes: dict[str, Any] = {}
    for field in model.model_fields_set:
        value = getattr(model, field)
        if isinstance(value, BaseModel):
            changes[field] = replaced(value, whole, ids, f"{at}/{sent_name(model, field)}")
        elif field in ID_BY_NAME:
            target, own = ID_BY_NAME[field], id_or_ids(value, ids.get(THINGS[field], {}))
            given = getattr(model, target)
            if is_given(model, field) and is_given(model, target) and given != own and not is_same_list(given, own):
                names = [sent_name(model, one) for one in (field, target)]
                raise wrong(whole, f"{at}/{names[0]}", f"{names[0]} and {names[1]} are given and differ")
            changes |= {field: None, **({target: own} if is_given(model, field) else {})}
    if not changes:
        return model
    copy = model.model_copy(update=changes)
    copy.__pydantic_fields_set__.difference_update(ID_BY_NAME)
    return copy


def is_given(model: BaseModel, field: str) -> bool:
    """Whether the field has a value; null is none where it is the default, which clients may send."""
    has_null_default = type(model).model_fields[field].default is None
    return field in model.model_fields_set and not (has_null_default and getattr(model, field) is None)


def id_or_ids(value: str | list[str] | None, ids: Mapping[str, int]) -> int | list[int] | None:
    """Return the id of one name, or of several names, sorted and each once: their order has no meaning."""
    if isinstance(value, list):
        return sorted({ids[name] for name in value})
    return None if value is None else ids[value]


def is_same_list(one: object, other: object) -> bool:
    """Whether two lists have the same members."""
    if not isinstance(one, list) or not isinstance(other, list):
        return False
    return set(cast("list[int]", one)) == set(cast("list[int]", other))


def wrong(model: BaseModel, where: str, detail: str) -> Invalid:
    """Point at the parameter of a query or at the member of a body."""
    key, place = ("parameter", where.split("/")[1]) if isinstance(model, Query) else ("pointer", where)
    return Invalid(f"{place}: {detail}", {"errors": [{key: place, "detail": detail}]})
