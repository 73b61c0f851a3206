"""The bodies, queries and resources of invitations."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from master.domain.nodes.schemas import NodeExits
from master.schemas.addresses import ExitAddress, Prefix
from master.schemas.base import RequestBody, Resource, Row
from master.schemas.fields import CONTROLS, Labels, LocationName, PortRange, distinct, port_bounds
from master.schemas.pages import Page
from master.schemas.sorting import SortById, Sorted
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import Id

InvitationState = Literal["open", "used_up", "expired"]

MAX_USES = 1_000
MAX_DAYS = 366
DEFAULT_HOURS = 24
CODE = "3-7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"
URL = "http://master.example.com:3007"
NamePrefix = Annotated[
    str, Field(min_length=1, max_length=60, pattern=rf"^[^{CONTROLS}\s]([^{CONTROLS}]*[^{CONTROLS}\s])?$")
]
Ipv6Prefixes = Annotated[list[Prefix], Field(max_length=64), AfterValidator(distinct)]
ExitAddresses = Annotated[list[ExitAddress], Field(max_length=1000), AfterValidator(distinct)]
PREFIX_WORDS = "Names of the nodes begin with it: `fra` gives `fra-brave-otter`. null: they are two random words."
EXPIRY_WORDS = "The time from which no further node is enrolled."
USES_WORDS = "The most nodes that are ever enrolled by the invitation."
INVITATION: dict[str, JsonValue] = {
    "id": 3,
    "state": "open",
    "location_id": 1,
    "labels": {"rack": "12"},
    "limits": {"max_proxies": 500, "ports": None},
    "exits": {"addresses": [], "ipv6_prefixes": []},
    "name_prefix": "fra",
    "uses": 30,
    "used": 1,
    "node_ids": [7],
    "expires_at": "2026-05-02T09:30:00Z",
    "last_error": None,
    "last_error_at": None,
    "created_at": "2026-05-01T09:30:00Z",
}
"""An example."""


class InvitedLimits(RequestBody):
    """The limits of the nodes; omitted members take the defaults of nodes."""

    max_proxies: Annotated[int, Field(ge=0, le=60000)] | None = Field(
        default=None, description="The most proxies that are placed on a node."
    )
    ports: PortRange | None = Field(
        default=None, description="The range from which ports are assigned, both ends included."
    )


class InvitedExits(RequestBody):
    """The declared exits of the nodes, beside the addresses that each reports."""

    addresses: ExitAddresses = Field(
        default_factory=list[str], description="Local addresses by which connections may leave each node."
    )
    ipv6_prefixes: Ipv6Prefixes = Field(
        default_factory=list[str], description="IPv6 networks that are routed to each node."
    )


class NewInvitation(RequestBody):
    """An invitation to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"location": "Frankfurt", "uses": 30, "name_prefix": "fra", "labels": {"rack": "12"}},
                {"uses": 2, "limits": {"max_proxies": 500}},
            ]
        }
    )

    location_id: Id | None = Field(default=None, description="The location of the nodes. By default they have none.")
    location: LocationName = None
    labels: Labels = Field(default_factory=dict[str, str])
    limits: InvitedLimits = Field(default_factory=InvitedLimits)
    exits: InvitedExits = Field(default_factory=InvitedExits)
    name_prefix: NamePrefix | None = Field(default=None, description=PREFIX_WORDS)
    uses: int = Field(default=1, ge=1, le=MAX_USES, description=USES_WORDS)
    expires_at: LenientTimestamp | None = Field(
        default=None,
        description=f"{EXPIRY_WORDS} It lies in the future, by at most {MAX_DAYS} days. Default: in {DEFAULT_HOURS} "
        "hours.",
    )

    def columns(self) -> dict[str, Any]:
        """Return the settings as columns of the table."""
        low, high = port_bounds(self.limits.ports) if self.limits.ports else (None, None)
        return {
            "location_id": self.location_id,
            "labels": self.labels,
            "max_proxies": self.limits.max_proxies,
            "port_from": low,
            "port_to": high,
            "exit_addresses": self.exits.addresses,
            "ipv6_prefixes": self.exits.ipv6_prefixes,
            "name_prefix": self.name_prefix,
            "uses": self.uses,
        }


class InvitationLimits(Resource):
    """The limits of the nodes."""

    max_proxies: int | None = Field(
        description="The most proxies that are placed on a node. null: the default of nodes."
    )
    ports: str | None = Field(
        description="The range from which ports are assigned. null: the default of nodes.", examples=["20000-29999"]
    )


class Invitation(Resource):
    """An invitation by which nodes enrol themselves, without its code."""

    model_config = ConfigDict(json_schema_extra={"examples": [INVITATION]})

    id: int
    state: InvitationState = Field(
        description="`open`: nodes are enrolled by it. `used_up`: it has enrolled `uses` nodes. `expired`: "
        "`expires_at` has passed."
    )
    location_id: int | None
    labels: dict[str, str] = Field(description="Labels of the nodes.")
    limits: InvitationLimits
    exits: NodeExits
    name_prefix: str | None = Field(description=PREFIX_WORDS)
    uses: int = Field(description=USES_WORDS)
    used: int = Field(description="The number of nodes that were enrolled by it, those that were removed included.")
    node_ids: list[int] = Field(description="The nodes that were enrolled by it and were not removed.")
    expires_at: datetime = Field(description=EXPIRY_WORDS)
    last_error: str | None = Field(
        description="Why the last node that announced itself by it and failed was not enrolled. null: none has failed."
    )
    last_error_at: datetime | None
    created_at: datetime


def invitation_from_row(row: Row) -> Invitation:
    """Make an invitation out of its row."""
    ports = None if row["port_from"] is None else f"{row['port_from']}-{row['port_to']}"
    return Invitation.model_validate(
        {
            **{name: row[name] for name in Invitation.model_fields if name not in ("limits", "exits")},
            "limits": InvitationLimits(max_proxies=row["max_proxies"], ports=ports),
            "exits": NodeExits(addresses=row["exit_addresses"], ipv6_prefixes=row["ipv6_prefixes"]),
        }
    )


class InvitationList(Sorted[SortById]):
    """A page of invitations."""


class InvitationCreated(Invitation):
    """An invitation that was just created, with its code."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **INVITATION,
                    "code": CODE,
                    "environment": {"NODE_INVITATION": CODE, "NODE_MASTER_URL": URL},
                    "command": None,
                    "cloud_init": None,
                }
            ]
        }
    )

    code: str = Field(repr=False, description="The code of the invitation. It is shown this once.")
    environment: dict[str, str] = Field(
        repr=False, description="The variables of a node that enrols itself, with the code."
    )
    command: str | None = Field(
        repr=False,
        description="A line for the shell of a host, with the code, that installs a node which enrols itself. null: "
        "the master serves no installer.",
    )
    cloud_init: str | None = Field(
        repr=False,
        description="User data for cloud-init, with the code, that does the same at the first start of a host. null: "
        "the master serves no installer.",
    )


class InvitationPage(Page[Invitation]):
    """A page of invitations."""
