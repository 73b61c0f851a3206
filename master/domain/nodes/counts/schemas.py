"""The query and the resources of counts of nodes."""

from typing import Annotated

from pydantic import ConfigDict, Field

from master.domain.nodes.schemas import NodeFilter, NodeLink, NodeState
from master.schemas.base import Resource
from master.schemas.grouping import MOST_COUNTS, Grouping, GroupLimit, GroupsOf, no_groups

GROUPS = ("state", "link", "location")


class NodeCountQuery(NodeFilter):
    """The nodes to count, and the groups in which to count them."""

    by: Annotated[Grouping, GroupsOf(GROUPS)] = no_groups(GROUPS)
    limit: GroupLimit = MOST_COUNTS


class NodeCount(Resource):
    """The number of nodes in one group. Members by which it is not grouped are null."""

    state: NodeState | None
    link: NodeLink | None
    location_id: int | None
    labels: dict[str, str | None] = Field(description="The labels that it is grouped by. null: nodes without it.")
    count: int


class NodeCounts(Resource):
    """The numbers of nodes by group, the largest first, and the number of all that match."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [{"state": "active", "link": "online", "location_id": None, "labels": {}, "count": 30}],
                    "total": 30,
                }
            ]
        }
    )

    items: list[NodeCount]
    total: int = Field(description="The number of all nodes that match, also of those in groups beyond the limit.")
