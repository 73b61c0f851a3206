"""What may be asked of a node: to be enrolled or replaced, to be otherwise, to be compared."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from master.addresses import ExitAddress, NodeIp, Prefix
from master.fields import (
    LabelPatch,
    Labels,
    LocationName,
    Name,
    NodeIds,
    NodeNames,
    Overlap,
    PortRange,
    distinct,
)
from master.model.nodes import NodeState
from master.wishes import Wish, not_given
from shared.enrolment.challenge import read_challenge
from shared.proxies import Id, Port

ENROL_PORT = 3006
"""Where a waiting node listens unless it is told otherwise."""


def known_challenge(text: str) -> str:
    """The challenge as it came, when it can be one. Raises ValueError without repeating it."""
    read_challenge(text)
    return text


Challenge = Annotated[str, Field(max_length=64, repr=False), AfterValidator(known_challenge)]


class NewNode(Wish):
    """A waiting node to be enrolled, by the challenge that it shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.7", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(
        default=ENROL_PORT, description="where the waiting node listens: one of the ports in the master's ENROL_PORTS"
    )
    name: Name | None = Field(default=None, description="drawn when none is given")
    location_id: Id | None = None
    location: LocationName = None
    labels: Labels = Field(default_factory=dict[str, str])


class LimitChanges(Wish):
    """What shall be otherwise of a node's limits."""

    max_proxies: Annotated[int, Field(ge=0, le=60000)] = Field(default_factory=not_given)
    ports: PortRange = Field(default_factory=not_given)


class NodeExitWish(Wish):
    """By what a node's proxies may leave it."""

    addresses: Annotated[list[ExitAddress], Field(max_length=1000), AfterValidator(distinct)] = Field(
        default_factory=not_given, description="local addresses besides those that the node has told"
    )
    ipv6_prefixes: Annotated[list[Prefix], Field(max_length=64), AfterValidator(distinct)] = Field(
        default_factory=not_given,
        description="IPv6 networks that are routed to the node; the first is drawn from when a proxy names none",
    )


class NodeChanges(Wish):
    """What shall be otherwise of a node."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"state": "draining", "limits": {"max_proxies": 500}},
                {"exits": {"ipv6_prefixes": ["2001:db8:1::/64"]}},
                {"state": "draining", "move": True, "overlap_s": 30},
            ]
        }
    )

    name: Name = Field(default_factory=not_given)
    ip: NodeIp = Field(default_factory=not_given)
    location_id: Id | None = Field(default_factory=not_given)
    location: LocationName = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)
    state: NodeState = Field(default_factory=not_given)
    limits: LimitChanges = Field(default_factory=not_given)
    exits: NodeExitWish = Field(default_factory=not_given)
    move: bool = Field(
        default_factory=not_given,
        description="of a draining node: its proxies move to other nodes, make before break; false: no more of them",
    )
    overlap_s: Overlap = Field(
        default_factory=not_given, description="with move: the former endpoint serves on for so long: 60 s"
    )
    node_ids: NodeIds = Field(
        default_factory=not_given,
        description="with move: to these; to those of the node's location when none are named",
    )
    nodes: NodeNames = Field(default_factory=not_given)

    def given(self) -> dict[str, Any]:
        """What is a setting of the node; a move is not."""
        return {name: value for name, value in super().given().items() if name not in ("move", "overlap_s", "node_ids")}


class ReplaceWish(Wish):
    """A waiting box that takes a node over, by the challenge that it shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.9", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(
        default=ENROL_PORT, description="where the waiting box listens: one of the ports in the master's ENROL_PORTS"
    )


class SyncWish(Wish):
    """Compare a node with the database now."""

    confirm: bool = Field(default=False, description="lets a list pass that the node holds")
