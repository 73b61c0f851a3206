"""`dry_run`: how it is asked for, and what a write would do, out of the events that it would record. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from master.schemas.base import Query, Resource, Row


class DryRunnable(Query):
    """A write that can be tried out."""

    dry_run: bool = Field(default=False, description="true: nothing is done, and the answer (200) tells what would be")


class TimedWrite(DryRunnable):
    """A write that may give proxies an end."""

    allow_past: bool = Field(
        default=False, description="true: a new limits.expires_at may lie in the past, which ends the proxies at once"
    )


class DryRunCreated(Resource):
    """A proxy that would be made."""

    node_id: int
    port: int


class DryRunChanged(Resource):
    """A proxy that would be otherwise."""

    proxy_id: int
    node_id: int
    changed: list[str] = Field(description="names of its members")


class DryRunRemoved(Resource):
    """A proxy that would be no more."""

    proxy_id: int
    node_id: int
    port: int


class DryRunNode(Resource):
    """How many of each on one node."""

    node_id: int
    created: int
    changed: int
    removed: int


class DryRun(Resource):
    """What would be done; nothing is."""

    dry_run: Literal[True] = True
    created: list[DryRunCreated]
    changed: list[DryRunChanged]
    removed: list[DryRunRemoved]
    by_node: list[DryRunNode]
    events: dict[str, int] = Field(description="how many of each type there would be")


def dry_run(events: Sequence[Row]) -> DryRun:
    """Out of rows of `events`."""
    created, changed, removed = (of_type(events, f"proxy.{what}") for what in ("created", "updated", "deleted"))
    return DryRun(
        created=[DryRunCreated(node_id=row["node_id"], port=row["details"]["port"]) for row in created],
        changed=[DryRunChanged(**proxy(row), changed=row["details"]["changed"]) for row in changed],
        removed=[DryRunRemoved(**proxy(row), port=row["details"]["port"]) for row in removed],
        by_node=by_node(created, changed, removed),
        events=dict(sorted(Counter(row["type"] for row in events).items())),
    )


def of_type(events: Iterable[Row], type_: str) -> list[Row]:
    """In their order."""
    return [row for row in events if row["type"] == type_]


def proxy(row: Row) -> dict[str, int]:
    """Which, and where."""
    return {"proxy_id": row["proxy_id"], "node_id": row["node_id"]}


def by_node(*kinds: Iterable[Row]) -> list[DryRunNode]:
    """Created, changed and removed ones by node."""
    created, changed, removed = (Counter(int(row["node_id"]) for row in rows) for rows in kinds)
    return [
        DryRunNode(node_id=id_, created=created[id_], changed=changed[id_], removed=removed[id_])
        for id_ in sorted({*created, *changed, *removed})
    ]
