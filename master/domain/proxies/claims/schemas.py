"""The bodies and resources of claims."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from master.domain.proxies.options import LimitOptions
from master.domain.proxies.proxy_parts import PROXY
from master.domain.proxies.schemas import Proxy, ProxyFilter
from master.schemas.base import RequestBody, Resource
from master.schemas.fields import Labels

MAX_CLAIMED = 1_000
"""The most proxies in one claim."""


class ClaimRequest(RequestBody):
    """The proxies to claim, and what they get."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "count": 25,
                    "filter": {"stack_id": 3, "protocol": "http", "label": ["tier:gold"]},
                    "labels": {"customer": "7"},
                    "limits": {"expires_at": "2126-06-01T00:00:00Z"},
                    "rotate": ["credentials"],
                }
            ]
        }
    )

    count: int = Field(ge=1, le=MAX_CLAIMED, description="The number of proxies.")
    filter: ProxyFilter = Field(
        default_factory=ProxyFilter,
        description="The proxies to choose from, as in the list of proxies. Default: all. Those that have a label with "
        "a key of `labels` are never chosen.",
    )
    labels: Annotated[Labels, Field(min_length=1)] = Field(
        description="The labels that they get, beside those that they have. Proxies with any of these keys are taken."
    )
    limits: LimitOptions = Field(
        default_factory=LimitOptions, description="Merged into the limits that they have. Default: no change."
    )
    rotate: Annotated[list[Literal["credentials"]], Field(max_length=1)] = Field(
        default_factory=list[Literal["credentials"]],
        description="`credentials`: each proxy gets a new user name and password, at once and without an overlap. "
        "Proxies without a user name, and those of which a rotation is under way, are not chosen then.",
    )


class ClaimedProxies(Resource):
    """The proxies that were claimed, ordered by id."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{**PROXY, "stack_id": 3, "labels": {"customer": "7"}}]}]}
    )

    items: list[Proxy]
