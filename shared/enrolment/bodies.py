"""JSON bodies of an enrolment, and the contents that are sealed in them.

Their validators are built at the first use: an enrolled node needs one of them.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

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
    """Configuration of a node, from its master. `amqp_url` holds the node's own login.

    `ip` is the address at which the master called the node, and at which clients are sent to it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", hide_input_in_errors=True)

    node_id: Id
    name: Annotated[str, Field(max_length=100)]
    cluster: Annotated[str, Field(max_length=100)]
    amqp_url: SecretStr
    queue: Annotated[str, Field(max_length=100)]
    ip: Annotated[str, Field(max_length=64)] = ""
