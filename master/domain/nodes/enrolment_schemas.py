"""The bodies of enrolment and replacement."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.addresses import NodeIp
from master.schemas.base import RequestBody
from master.schemas.fields import Labels, LocationName, Name
from shared.enrolment.challenge import read_challenge
from shared.proxies import Id, Port

ENROL_PORT = 3006
"""Where a waiting node listens unless it is told otherwise."""


def known_challenge(text: str) -> str:
    """The challenge as it came, when it can be one. Raises ValueError without repeating it."""
    read_challenge(text)
    return text


Challenge = Annotated[str, Field(max_length=64, repr=False), AfterValidator(known_challenge)]


class NewNode(RequestBody):
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


class ReplaceRequest(RequestBody):
    """A waiting box that takes a node over, by the challenge that it shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ip": "203.0.113.9", "challenge": "7KQ2-M0XA-9T4R-WD3E-5HJN-8VBC-6PRZ"}]}
    )

    ip: NodeIp
    challenge: Challenge
    port: Port = Field(
        default=ENROL_PORT, description="where the waiting box listens: one of the ports in the master's ENROL_PORTS"
    )
