"""What a token with a filter may know, worked out from all rows of the database in another way than its views do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.integration.conftest import Api


@dataclass(frozen=True)
class Known:
    """The ids that may appear in answers, by kind. `present` are the proxies that exist."""

    present: frozenset[int]
    proxies: frozenset[int]
    nodes: frozenset[int]
    stacks: frozenset[int]
    locations: frozenset[int]
    links: frozenset[int]
    rotations: frozenset[int]

    @property
    def ids(self) -> frozenset[int]:
        return self.proxies | self.nodes | self.stacks | self.locations | self.links | self.rotations


async def table(api: Api, name: str) -> list[dict[str, Any]]:
    """All rows of a table, as JSON has them."""
    return [json.loads(row["row"]) for row in await api.rows.fetch(f"SELECT to_jsonb(t)::text AS row FROM {name} t")]


async def known(api: Api, filter_: Mapping[str, Any]) -> Known:
    """What a token with this filter may know."""
    locations = {row["id"]: row["location_id"] for row in await table(api, "nodes")}
    [(kind, value)] = filter_.items()

    def is_inside(proxy: Mapping[str, Any]) -> bool:
        match kind:
            case "label":
                key, _, text = value.partition(":")
                return proxy["labels"] is not None and proxy["labels"].get(key) == text
            case "stack":
                return proxy["labels"] is not None and proxy["stack_id"] == value
            case _:
                return proxy["labels"] is not None and locations.get(proxy["node_id"]) == value

    def is_whole(stack: Mapping[str, Any]) -> bool:
        match kind:
            case "label":
                return is_inside(stack) and is_inside(stack["proxy"])
            case "stack":
                return stack["id"] == value
            case _:
                return stack["proxy"].get("location_ids") == [value]

    rows, former = await table(api, "proxies"), await table(api, "former_proxies")
    present = {row["id"] for row in rows if is_inside(row)}
    proxies = present | {row["proxy_id"] for row in former if is_inside(row)}
    stacks = [row for row in await table(api, "stacks") if is_whole(row)]
    nodes = {row["node_id"] for row in rows if row["id"] in present}
    nodes |= {row["node_id"] for row in await table(api, "endpoints") if row["proxy_id"] in present}
    nodes |= {row["node_id"] for row in former if row["proxy_id"] in present or is_inside(row)}
    places = {locations[id_] for id_ in nodes} | {id_ for one in stacks for id_ in one["proxy"]["location_ids"]}
    if kind == "location":
        nodes, places = {id_ for id_, place in locations.items() if place == value}, {value}
    return Known(
        present=frozenset(present),
        proxies=frozenset(proxies),
        nodes=frozenset(nodes),
        stacks=frozenset(row["id"] for row in stacks),
        locations=frozenset(places - {None}),
        links=frozenset(row["id"] for row in await table(api, "links") if row["token_filter"] == dict(filter_)),
        rotations=frozenset(row["id"] for row in await table(api, "rotations") if row["proxy_id"] in proxies),
    )


FIGURES = {
    "nodes": ("revision", "proxy_count", "state_revision", "sent_revision", "sending_until", "sweep_at", "sent_at"),
    "stacks": ("count", "version", "updated_at"),
}
"""Counters of nodes and stacks that follow from any change of their proxies."""


async def outside(api: Api, inside: Known) -> dict[str, list[dict[str, Any]]]:
    """Everything that a token which may know this must leave as it is."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, ids in (("proxies", inside.present), ("stacks", inside.stacks), ("links", inside.links)):
        found[name] = [row for row in await table(api, name) if row["id"] not in ids]
    for name in ("endpoints", "schedules"):
        found[name] = [row for row in await table(api, name) if row["proxy_id"] not in inside.present]
    for name in ("nodes", "locations"):
        found[name] = await table(api, name)
    return {
        name: sorted(
            ({key: value for key, value in row.items() if key not in FIGURES.get(name, ())} for row in rows), key=str
        )
        for name, rows in found.items()
    }
