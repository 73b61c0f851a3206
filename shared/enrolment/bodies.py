"""JSON bodies of an enrolment, and the contents that are sealed in them.

Their validators are built at the first use: an enrolled node needs one of them.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared.bus.addresses import LONGEST_CA, MOST_ADDRESSES, BrokerAddresses
from shared.proxies import Id

REFUSED = b"refused\n"
"""The whole answer of a waiting node to a caller that does not know its challenge."""


class Hello(BaseModel):
    """The master's first message, with byte strings in base64. `mac` proves that the master knows the challenge."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    v: Annotated[int, Field(ge=1, le=1)] = 1
    e_m: Annotated[str, Field(max_length=64)]
    n_m: Annotated[str, Field(max_length=64)]
    mac: Annotated[str, Field(max_length=64)]


class HelloAnswer(BaseModel):
    """The node's answer. `box` holds NodeFacts and proves that the node knows the challenge."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    e_n: Annotated[str, Field(max_length=64)]
    n_n: Annotated[str, Field(max_length=64)]
    box: Annotated[str, Field(max_length=65_536)]


class Box(BaseModel):
    """One sealed body."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    box: Annotated[str, Field(max_length=65_536)]


class NodeFacts(BaseModel):
    """Facts that a node reports of itself and its host. `engines` maps the name of each engine to its version."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    host: Annotated[str, Field(max_length=255)] = ""
    os: Annotated[str, Field(max_length=255)] = ""
    agent: Annotated[str, Field(max_length=100)] = ""
    addresses: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=256)] = ()
    engines: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=100)]], Field(max_length=16)
    ] = Field(default_factory=dict[str, str])


class NodeConfig(BaseModel):
    """Configuration of a node, from its master. `amqp_urls` hold the node's own login.

    `ca` is that of BrokerAddresses; `broker_rev` counts the moves of the cluster to another broker or authority.

    `ip` is the address at which the master called the node, and at which clients are sent to it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", hide_input_in_errors=True)

    node_id: Id
    name: Annotated[str, Field(max_length=100)]
    cluster: Annotated[str, Field(max_length=100)]
    amqp_urls: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=MOST_ADDRESSES)]
    ca: Annotated[str | None, Field(max_length=LONGEST_CA)] = None
    broker_rev: Annotated[int, Field(ge=0)] = 0
    queue: Annotated[str, Field(max_length=100)]
    ip: Annotated[str, Field(max_length=64)] = ""

    @model_validator(mode="after")
    def _check_broker(self) -> Self:
        _ = self.broker
        return self

    @property
    def broker(self) -> BrokerAddresses:
        """The addresses of the broker."""
        return BrokerAddresses(self.amqp_urls, self.ca)

    def exposed(self) -> dict[str, Any]:
        """Return the members for JSON, with the login in clear."""
        return self.model_dump() | {"amqp_urls": [url.get_secret_value() for url in self.amqp_urls]}
