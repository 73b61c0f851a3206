"""The bodies of enrolment and replacement."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.addresses import NodeIp
from master.schemas.base import RequestBody
from master.schemas.fields import Labels, LocationName, Name
from shared.enrolment.challenge import read_challenge
from shared.proxies import Id, Port

ENROL_PORT = 3006
"""The port on which a waiting node listens unless it is configured otherwise."""


def known_challenge(text: str) -> str:
    """Return the challenge if it is well-formed. Raises ValueError without repeating it."""
    read_challenge(text)
    return text


Challenge = Annotated[
    str,
    Field(
        max_length=64, repr=False, description="The challenge that the waiting node prints. It proves who may enrol it."
    ),
    AfterValidator(known_challenge),
]
PORT_WORDS = "The port on which the waiting node listens: one of the ports in the master's setting ENROL_PORTS."


class NewNode(RequestBody):
    """A waiting node to enrol, with the challenge that it prints."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.7", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(default=ENROL_PORT, description=PORT_WORDS)
    name: Name | None = Field(default=None, description="The name of the node. By default one is generated.")
    location_id: Id | None = Field(default=None, description="The location of the node. By default it has none.")
    location: LocationName = None
    labels: Labels = Field(default_factory=dict[str, str])


class ReplaceRequest(RequestBody):
    """A waiting host that takes over a node, with the challenge that it prints."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.9", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(default=ENROL_PORT, description=PORT_WORDS)
