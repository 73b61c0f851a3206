"""The bodies and resources of the broker and its moves."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from master.schemas.base import RequestBody, Resource, omitted
from shared.bus.addresses import LONGEST_CA, LONGEST_URL, MOST_ADDRESSES
from shared.messages.broker_config import MOST_URLS

MoveState = Literal["opening", "moving"]
NodeMoveState = Literal["moved", "trial", "failed"]
MOST_NAMES = 10_000

Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
Urls = Annotated[list[Url], Field(min_length=1, max_length=MOST_ADDRESSES)]
NodeUrls = Annotated[list[Url], Field(min_length=1, max_length=MOST_URLS)]
AMQP_URLS = "The addresses by which masters reach the broker, or the brokers of one cluster, in order of preference."
MANAGEMENT_URLS = "The addresses of RabbitMQ's management API. It takes the login of `amqp_urls`."
NODE_AMQP_URLS = "The addresses by which nodes reach the broker. Each node has a login of its own."
CA = (
    "The certificate authorities by which masters and nodes verify the broker: certificates in PEM, also several while "
    "one is replaced; `system`: those of each host; null: the broker is used without TLS."
)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n"
LINK: dict[str, JsonValue] = {
    "rev": 1,
    "amqp_urls": ["amqps://broker-2.example.net:5671/"],
    "management_urls": ["https://broker-2.example.net:15671"],
    "node_amqp_urls": ["amqps://broker-2.example.net:5671/"],
    "ca": PEM,
}
FORMER: dict[str, JsonValue] = {
    "rev": 0,
    "amqp_urls": ["amqp://broker.example.net/"],
    "management_urls": ["http://broker.example.net:15672"],
    "node_amqp_urls": ["amqp://broker.example.net/"],
    "ca": None,
}
MOVE: dict[str, JsonValue] = {
    "link": LINK,
    "state": "moving",
    "since": "2026-05-01T10:00:00Z",
    "masters": [{"id": "a1b2c3d4", "host": "master-1", "is_up": True}],
    "nodes": {"total": 3, "moved": 2, "trial": 0, "failed": 1},
    "missing": [
        {
            "node_id": 7,
            "name": "brave-otter",
            "online": True,
            "rev": 0,
            "state": "failed",
            "reason": "broker-2.example.net:5671: no connection within 30 s",
        }
    ],
}


class NewBrokerLink(RequestBody):
    """Where the broker is from now on. Omitted members stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "amqp_urls": ["amqps://maybe:secret@broker-2.example.net:5671/"],
                    "management_urls": ["https://broker-2.example.net:15671"],
                    "ca": PEM,
                },
                {"ca": PEM + PEM},
            ]
        }
    )

    amqp_urls: Urls = Field(
        default_factory=omitted,
        repr=False,
        description=f"{AMQP_URLS} With the login of an administrator; without any, the present login is used.",
    )
    management_urls: Urls = Field(default_factory=omitted, description=MANAGEMENT_URLS)
    node_amqp_urls: NodeUrls = Field(
        default_factory=omitted,
        description=f"{NODE_AMQP_URLS} Without a login. Where they equalled `amqp_urls` so far, they follow these.",
    )
    ca: Annotated[str, Field(min_length=1, max_length=LONGEST_CA)] | None = Field(
        default_factory=omitted, description=CA
    )


class FinishRequest(RequestBody):
    """The end of a move."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"force": ["brave-otter"]}]})

    force: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=MOST_NAMES)] = Field(
        default_factory=list[str],
        description="The names of all nodes that are given up: they have not moved, and lose their login at the broker "
        "that is left. Afterwards they are moved by hand (`maybe-node config`) or enrolled again.",
    )


class BrokerLinkResource(Resource):
    """Where the broker is. No login is shown."""

    model_config = ConfigDict(json_schema_extra={"examples": [LINK]})

    rev: int = Field(description="Grows with each move. 0: the settings of the masters, since the broker never moved.")
    amqp_urls: list[str] = Field(description=AMQP_URLS)
    management_urls: list[str] = Field(description=MANAGEMENT_URLS)
    node_amqp_urls: list[str] = Field(description=NODE_AMQP_URLS)
    ca: str | None = Field(description=CA)


class MasterLink(Resource):
    """A master that runs."""

    id: str = Field(description="As in GET /system.")
    host: str = Field(description="The name of its host.")
    is_up: bool = Field(description="Whether it is connected to the broker at the new place.")


class MovedNodes(Resource):
    """Numbers of nodes."""

    total: int
    moved: int = Field(description="Heard at the new place, and confirmed.")
    trial: int = Field(description="Heard at the new place; the confirmation is under way.")
    failed: int = Field(description="Could not use the new place and stayed where they were. They are asked again.")


class MissingNode(Resource):
    """A node that has not moved yet."""

    node_id: int
    name: str
    online: bool
    rev: int | None = Field(description="The revision of the link by which it was heard last. null: never heard.")
    state: str | None = Field(description="`trial`, `failed`, or `moved` to an earlier place.")
    reason: str | None = Field(description="Why it has not moved, as far as that is known.")


class BrokerMove(Resource):
    """A move that is under way."""

    model_config = ConfigDict(json_schema_extra={"examples": [MOVE]})

    link: BrokerLinkResource = Field(description="The new place.")
    state: MoveState = Field(
        description="`opening`: the masters connect to the broker at the new place; nodes do not know it yet. "
        "`moving`: every master is connected to both, and nodes move a few at a time."
    )
    since: datetime = Field(description="The time when the state began.")
    masters: list[MasterLink] = Field(description="The masters that run.")
    nodes: MovedNodes
    missing: list[MissingNode] = Field(description="The first hundred nodes that have not moved.")


class LeftBroker(Resource):
    """A broker that was left by the last move."""

    rev: int
    amqp_urls: list[str] = Field(description=AMQP_URLS)
    state: Literal["closing", "closed"] = Field(
        description="`closing`: the nodes' logins there are being deleted. `closed`: no master uses it any more."
    )
    left_over: str | None = Field(
        description="Why the nodes' logins could not be deleted. null: they were, or will be."
    )


class OutdatedSetting(Resource):
    """A setting of the master that answers which differs from the broker's place."""

    name: str = Field(description="The environment variable.")
    value: str = Field(description="What it should be, without a login.")


class BrokerOverview(Resource):
    """The broker of the cluster, and its move."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"link": FORMER, "move": MOVE, "left": None, "outdated_settings": list[JsonValue]()}]
        }
    )

    link: BrokerLinkResource = Field(description="Where the broker is; during a move, where it was before.")
    move: BrokerMove | None = Field(description="null: no move is under way.")
    left: LeftBroker | None = Field(description="null: no move has ended yet.")
    outdated_settings: list[OutdatedSetting] = Field(
        description="Settings that should be changed before this master starts again. Until then the place that the "
        "move led to counts nevertheless."
    )
