"""The queries and resources of lookups."""

from datetime import datetime

from pydantic import ConfigDict, Field

from master.schemas.addresses import CanonicalAddress
from master.schemas.base import Paging, Resource
from master.schemas.timestamps import LenientTimestamp
from shared.proxies import ExitMode, Port


class LookupQuery(Paging):
    """The parameters of a lookup."""

    ip: CanonicalAddress = Field(description="The IP address.")
    port: Port | None = Field(
        default=None, description="The port of an endpoint. Without it exit addresses are looked up."
    )
    at: LenientTimestamp | None = Field(default=None, description="The time. Default: now.")


class Holder(Resource):
    """A proxy as it was for a period of time."""

    proxy_id: int
    name: str | None = Field(description="Its last name in the period.")
    node_id: int
    ip: str = Field(description="The address of its node.")
    port: int
    username: str | None
    exit_mode: ExitMode
    exit_address: str | None = Field(
        description="The address by which its connections left. null: they left by random addresses."
    )
    exit_prefix: str | None = Field(description="The network of its random addresses.")
    since: datetime = Field(description="The start of the period.")
    until: datetime | None = Field(description="The end of the period. null: it lasts.")


class RandomExitDetails(Resource):
    """A random exit address, decoded with the key of a node."""

    node_id: int
    prefix: str
    connection: int = Field(description="The number of the connection, counted over the node.")
    rest: int = Field(description="The remainder of the proxy's id divided by `modulus`.")
    modulus: int
    proxies: list[Holder] = Field(
        description="The proxies that used the prefix then and match `rest`. Empty: the address was not used."
    )


class Lookup(Resource):
    """The proxies that had the address. Pass `next` as `after` to get the following page; null means that there is "
    "none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ip": "203.0.113.7",
                    "port": 20000,
                    "at": "2026-05-01T12:00:00Z",
                    "items": [
                        {
                            "proxy_id": 17,
                            "name": None,
                            "node_id": 1,
                            "ip": "203.0.113.7",
                            "port": 20000,
                            "username": "k3v9x2",
                            "exit_mode": "default",
                            "exit_address": "203.0.113.7",
                            "exit_prefix": None,
                            "since": "2026-05-01T09:30:00Z",
                            "until": None,
                        }
                    ],
                    "drawn": [],
                    "next": None,
                }
            ]
        }
    )

    ip: str
    port: int | None
    at: datetime
    items: list[Holder]
    drawn: list[RandomExitDetails] = Field(
        description="The decoded address, if it lies in a prefix of random exit addresses."
    )
    next: str | None
