"""What is asked about nodes."""

from typing import Literal

from pydantic import Field

from master.addresses import NodeIp
from master.fields import LocationName, Overlap
from master.model.nodes import NodeState
from master.questions import Labelled, Paging, Question, Text
from shared.proxies import Id


class NodeFilter(Labelled):
    """Which nodes."""

    location_id: Id | None = None
    location: LocationName = None
    state: NodeState | None = None
    online: bool | None = None
    name: Text | None = None
    ip: NodeIp | None = None


class NodeList(NodeFilter, Paging):
    """A page of nodes."""


class NodeRemoval(Question):
    """What shall become of the proxies of a node that goes."""

    proxies: Literal["refuse", "move", "delete"] = Field(
        default="refuse",
        description="refuse: the node stays while it has some; move: they go to other nodes, then it goes, too",
    )
    overlap_s: Overlap = Field(default=60, description="with move: former endpoints serve on for so long")
