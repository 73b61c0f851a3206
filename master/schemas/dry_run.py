"""`dry_run`: how it is asked for, and what a write would do, out of the events that it would record. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from master.schemas.base import Question, Row, Shown


class Rehearsable(Question):
    """A write that can be tried out."""

    dry_run: bool = Field(default=False, description="true: nothing is done, and the answer (200) tells what would be")


class TimedWrite(Rehearsable):
    """A write that may give proxies an end."""

    allow_past: bool = Field(
        default=False, description="true: a new limits.expires_at may lie in the past, which ends the proxies at once"
    )


class Placed(Shown):
    """A proxy that would be made."""

    node_id: int
    port: int


class Changed(Shown):
    """A proxy that would be otherwise."""

    proxy_id: int
    node_id: int
    changed: list[str] = Field(description="names of its members")


class Gone(Shown):
    """A proxy that would be no more."""

    proxy_id: int
    node_id: int
    port: int


class Tally(Shown):
    """How many of each on one node."""

    node_id: int
    created: int
    changed: int
    removed: int


class DryRun(Shown):
    """What would be done; nothing is."""

    dry_run: Literal[True] = True
    created: list[Placed]
    changed: list[Changed]
    removed: list[Gone]
    by_node: list[Tally]
    events: dict[str, int] = Field(description="how many of each type there would be")


def dry_run(events: Sequence[Row]) -> DryRun:
    """Out of rows of `events`."""
    created, changed, removed = (of_type(events, f"proxy.{what}") for what in ("created", "updated", "deleted"))
    return DryRun(
        created=[Placed(node_id=row["node_id"], port=row["details"]["port"]) for row in created],
        changed=[Changed(**proxy(row), changed=row["details"]["changed"]) for row in changed],
        removed=[Gone(**proxy(row), port=row["details"]["port"]) for row in removed],
        by_node=tallies(created, changed, removed),
        events=dict(sorted(Counter(row["type"] for row in events).items())),
    )


def of_type(events: Iterable[Row], type_: str) -> list[Row]:
    """In their order."""
    return [row for row in events if row["type"] == type_]


def proxy(row: Row) -> dict[str, int]:
    """Which, and where."""
    return {"proxy_id": row["proxy_id"], "node_id": row["node_id"]}


def tallies(*kinds: Iterable[Row]) -> list[Tally]:
    """Created, changed and removed ones by node."""
    created, changed, removed = (Counter(int(row["node_id"]) for row in rows) for rows in kinds)
    return [
        Tally(node_id=id_, created=created[id_], changed=changed[id_], removed=removed[id_])
        for id_ in sorted({*created, *changed, *removed})
    ]
