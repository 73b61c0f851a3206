"""Lookups, as the API takes and shows them."""

from datetime import datetime

from pydantic import Field

from master.schemas.addresses import CanonicalAddress
from master.schemas.base import Paging, Resource
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import ExitMode, Port


class LookupQuery(Paging):
    """A page of those who had an address at a time."""

    ip: CanonicalAddress
    port: Port | None = Field(default=None, description="of an endpoint; without it exit addresses are looked up")
    at: LenientTimestamp | None = Field(default=None, description="now when none is given")


class Holder(Resource):
    """A proxy as it was for a stretch of time."""

    proxy_id: int
    name: str | None = Field(description="its last name in that time")
    node_id: int
    ip: str = Field(description="of its node")
    port: int
    username: str | None
    exit_mode: ExitMode
    exit_address: str | None = Field(description="its node's ip by the default; null when addresses are drawn")
    exit_prefix: str | None = Field(description="out of which addresses are drawn")
    since: datetime
    until: datetime | None = Field(description="null: it still is so")


class RandomExitDetails(Resource):
    """What a random exit address says of itself under a node's key."""

    node_id: int
    prefix: str
    connection: int = Field(description="the number that the connection got, counted over the node")
    rest: int = Field(description="what the proxy's id leaves when divided by `modulus`")
    modulus: int
    proxies: list[Holder] = Field(description="who drew there then and may be meant; empty: nobody, it was not drawn")


class Lookup(Resource):
    """Who had it; `next` goes into `after` for the following page, null when there is none."""

    ip: str
    port: int | None
    at: datetime
    items: list[Holder]
    drawn: list[RandomExitDetails] = Field(
        description="when it lies in a prefix that random exit addresses are drawn out of"
    )
    next: str | None
