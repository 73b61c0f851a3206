"""What may be asked of a proxy: to be made, to be otherwise, to be tried."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field

from master.fields import LabelPatch, Labels, LocationName, Name, Networks, NodeIds, NodeNames
from master.wishes import Wish, not_given
from master.wishes.rotation import ScheduleWish
from master.wishes.terms import DestinationWish, ExitWish, LimitWish
from shared.proxies import EngineName, Id, Password, Port, Protocol, Username


def http_url(text: str) -> str:
    """The URL, when a check can ask for it. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("an http or https URL without a login")
    if re.search(r"[^\x21-\x7e]", text):
        raise ValueError("a URL has printable ASCII characters only")
    return text


class CheckWish(Wish):
    """Go through the proxy once."""

    target: Annotated[str, Field(max_length=2048), AfterValidator(http_url)] | None = Field(
        default=None, description='http or https URL; an address in its answer, bare or as {"ip": ...}, is the exit_ip'
    )


class ProxyWish(Wish):
    """What a proxy to be made shall be like, and where it may be."""

    location_id: Id | None = None
    location: LocationName = None
    node_ids: NodeIds | None = None
    nodes: NodeNames = None
    protocol: Protocol = "mixed"
    username: Username | None = Field(
        default_factory=not_given, description="drawn unless allow_ips is given; null: no login"
    )
    password: Password | None = Field(default=None, repr=False, description="drawn when there is a user name")
    allow_ips: Networks = Field(default_factory=list[str])
    engine: EngineName = "builtin"
    exit: ExitWish = Field(default_factory=ExitWish)
    limits: LimitWish = Field(default_factory=LimitWish)
    destinations: DestinationWish = Field(default_factory=DestinationWish)
    rotation: ScheduleWish = Field(default_factory=ScheduleWish, description="by itself, on a schedule")
    enabled: bool = True
    labels: Labels = Field(default_factory=dict[str, str])


class NewProxy(ProxyWish):
    """A proxy to be placed on a node of the location, on one of the named nodes, or on one that is both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"location_id": 1},
                {"location": "Frankfurt"},
                {"node_ids": [1, 2], "protocol": "socks5", "port": 20080},
                {"location_id": 1, "limits": {"traffic_bytes": 10**9, "traffic_period": "month"}},
                {"location_id": 1, "destinations": {"allow_ports": [80, 443], "deny_hosts": ["example.com"]}},
            ]
        }
    )

    name: Name | None = None
    port: Port | None = Field(default=None, description="the lowest free one of the node's range when none is given")


class FleetChanges(Wish):
    """What shall be otherwise of all the proxies that a filter matches."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False, "labels": {"paused": "yes"}}]})

    protocol: Protocol = Field(default_factory=not_given)
    username: Username | None = Field(default_factory=not_given, description="null: no login, which needs allow_ips")
    password: Password = Field(default_factory=not_given, repr=False)
    allow_ips: Networks = Field(default_factory=not_given)
    engine: EngineName = Field(default_factory=not_given)
    exit: ExitWish | None = Field(default_factory=not_given, description="merged into what there is; null: the default")
    limits: LimitWish | None = Field(default_factory=not_given, description="merged into what there is; null: none")
    destinations: DestinationWish | None = Field(
        default_factory=not_given, description="merged into what there is; null: only what the node refuses"
    )
    rotation: ScheduleWish | None = Field(
        default_factory=not_given, description="merged into what there is; null: no more by itself"
    )
    enabled: bool = Field(default_factory=not_given)
    labels: LabelPatch = Field(default_factory=not_given)


class ProxyChanges(FleetChanges):
    """What shall be otherwise of one proxy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "fresh-one", "enabled": True}]})

    name: Name | None = Field(default_factory=not_given)
    port: Port = Field(default_factory=not_given)
