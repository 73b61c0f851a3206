"""The query and the resources of counts of proxies."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from master.domain.proxies.proxy_parts import ProxyState
from master.domain.proxies.schemas import ProxyFilter
from master.schemas.base import Resource
from master.schemas.grouping import MOST_COUNTS, Grouping, GroupLimit, GroupsOf, no_groups
from shared.proxies import EngineName, Protocol

GROUPS = ("state", "node", "location", "stack", "protocol", "engine", "enabled", "reason")


class ProxyCountQuery(ProxyFilter):
    """The proxies to count, and the groups in which to count them."""

    by: Annotated[Grouping, GroupsOf(GROUPS)] = no_groups(GROUPS)
    limit: GroupLimit = MOST_COUNTS
    live: bool = Field(
        default=False,
        description="If true, the sums of open connections and of bits per second are given, too. It takes about twice "
        "as long.",
    )


class ProxyGroup(Resource):
    """The number of proxies in one group. Members by which it is not grouped are null."""

    state: ProxyState | None
    node_id: int | None
    location_id: int | None
    stack_id: int | None
    protocol: Protocol | None
    engine: EngineName | None
    enabled: bool | None
    reason: str | None
    labels: dict[str, str | None] = Field(description="The labels that it is grouped by. null: proxies without it.")
    count: int
    connections: int | None = Field(
        description="The number of their open connections. null: unknown, or not asked for."
    )
    rx_bps: int | None = Field(description="Bits per second that their clients send. null: unknown, or not asked for.")
    tx_bps: int | None = Field(
        description="Bits per second that their clients receive. null: unknown, or not asked for."
    )
    next_expiry: datetime | None = Field(description="The time when the next of them expires. null: none will.")


class ProxyCounts(Resource):
    """The numbers of proxies by group, the largest first, and the number of all that match."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "state": "running",
                            "node_id": 7,
                            "location_id": None,
                            "stack_id": None,
                            "protocol": None,
                            "engine": None,
                            "enabled": None,
                            "reason": None,
                            "labels": {},
                            "count": 12,
                            "connections": 31,
                            "rx_bps": 120000,
                            "tx_bps": 2400000,
                            "next_expiry": "2026-12-24T00:00:00Z",
                        }
                    ],
                    "total": 12,
                }
            ]
        }
    )

    items: list[ProxyGroup]
    total: int = Field(description="The number of all proxies that match, also of those in groups beyond the limit.")
