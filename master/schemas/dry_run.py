"""`dry_run`: the parameter, and the result of a dry run, made of the events that the write would record. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Query, Resource, Row


class DryRunnable(Query):
    """The parameters of a write that can be tried out."""

    dry_run: bool = Field(
        default=False, description="If true, nothing is changed, and the answer (200) lists what the request would do."
    )


class TimedWrite(DryRunnable):
    """The parameters of a write that may set when proxies expire."""

    allow_past: bool = Field(
        default=False,
        description="If true, a new `limits.expires_at` may lie in the past, which ends the proxies at once. By "
        "default it is "
        "refused.",
    )


class DryRunCreated(Resource):
    """A proxy that would be created."""

    node_id: int
    port: int


class DryRunChanged(Resource):
    """A proxy that would change."""

    proxy_id: int
    node_id: int
    changed: list[str] = Field(description="The names of the members that would change.")


class DryRunRemoved(Resource):
    """A proxy that would be removed."""

    proxy_id: int
    node_id: int
    port: int


class DryRunNode(Resource):
    """The numbers of changes on one node."""

    node_id: int
    matched: int | None = Field(
        default=None, description="The number of its proxies that the filter matched. null: the request has no filter."
    )
    created: int
    changed: int
    removed: int


class DryRun(Resource):
    """The result of a dry run: what the request would do. Nothing was changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dry_run": True,
                    "created": [{"node_id": 1, "port": 20000}],
                    "changed": [],
                    "removed": [],
                    "by_node": [{"node_id": 1, "matched": None, "created": 1, "changed": 0, "removed": 0}],
                    "events": {"proxy.created": 1},
                }
            ]
        }
    )

    dry_run: Literal[True] = True
    created: list[DryRunCreated]
    changed: list[DryRunChanged]
    removed: list[DryRunRemoved]
    by_node: list[DryRunNode]
    events: dict[str, int] = Field(description="The number of events of each type that the request would record.")


def dry_run(events: Sequence[Row]) -> DryRun:
    """Make the result out of rows of `events`."""
    created, changed, removed = (of_type(events, f"proxy.{what}") for what in ("created", "updated", "deleted"))
    return DryRun(
        created=[DryRunCreated(node_id=row["node_id"], port=row["details"]["port"]) for row in created],
        changed=[DryRunChanged(**proxy(row), changed=row["details"]["changed"]) for row in changed],
        removed=[DryRunRemoved(**proxy(row), port=row["details"]["port"]) for row in removed],
        by_node=by_node(created, changed, removed),
        events=dict(sorted(Counter(row["type"] for row in events).items())),
    )


def of_type(events: Iterable[Row], type_: str) -> list[Row]:
    """Select the events of one type, in their order."""
    return [row for row in events if row["type"] == type_]


def proxy(row: Row) -> dict[str, int]:
    """Name the proxy and its node."""
    return {"proxy_id": row["proxy_id"], "node_id": row["node_id"]}


def by_node(*kinds: Iterable[Row]) -> list[DryRunNode]:
    """Count created, changed and removed proxies by node."""
    created, changed, removed = (Counter(int(row["node_id"]) for row in rows) for rows in kinds)
    return [
        DryRunNode(node_id=id_, created=created[id_], changed=changed[id_], removed=removed[id_])
        for id_ in sorted({*created, *changed, *removed})
    ]


def with_matched(result: DryRun, matched: Mapping[int, int]) -> DryRun:
    """Add the number of proxies that a filter matched on each node, also on nodes of which none would change."""
    changes = {one.node_id: one for one in result.by_node}
    unchanged = {"created": 0, "changed": 0, "removed": 0}
    nodes = [
        changes.get(id_, DryRunNode(node_id=id_, **unchanged)).model_copy(update={"matched": count})
        for id_, count in sorted(matched.items())
    ]
    return result.model_copy(update={"by_node": nodes})
