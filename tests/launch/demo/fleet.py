"""Plan of the demo fleet: which locations, nodes, stacks and single proxies there are, and what customers bought."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DemoNode:
    """A node by its name, which begins with that of its location, and its labels."""

    name: str
    location: str
    labels: tuple[tuple[str, str], ...]


LOCATIONS: tuple[dict[str, Any], ...] = (
    {"name": "Frankfurt", "country": "DE", "labels": {"region": "eu"}},
    {"name": "Amsterdam", "country": "NL", "labels": {"region": "eu"}},
    {"name": "Warsaw", "country": "PL", "labels": {"region": "eu"}},
    {"name": "New York", "country": "US", "labels": {"region": "us"}},
)
"""The first one takes the place of the location that `./dev up` creates."""

BUSY, BUSY_TOO, DRAINING, HELD, OFFLINE = "fra-1", "fra-2", "ams-1", "waw-1", "nyc-1"
"""Nodes by what happens to them."""

NODES = (
    DemoNode(BUSY, "Frankfurt", (("rack", "a"), ("uplink", "10g"))),
    DemoNode(BUSY_TOO, "Frankfurt", (("rack", "b"), ("uplink", "10g"))),
    DemoNode(DRAINING, "Amsterdam", (("rack", "c"), ("uplink", "1g"))),
    DemoNode(HELD, "Warsaw", (("rack", "a"), ("uplink", "1g"))),
    DemoNode(OFFLINE, "New York", (("rack", "d"), ("uplink", "10g"))),
)
EXIT_ADDRESS = "127.0.0.2"
"""An exit that only the draining node has: the proxy with it cannot move away."""

SOLD = ("eu-http", "ams-mixed", "us-socks")
"""Stacks of which customers bought proxies; the rest of them is free."""

STACKS: tuple[dict[str, Any], ...] = (
    {
        "name": "eu-http",
        "count": 64,
        "labels": {"product": "datacenter"},
        "proxy": {
            "location": "Frankfurt",
            "protocol": "http",
            "labels": {"tier": "gold"},
            "limits": {"connections": 200, "bandwidth_bps": 50_000_000},
        },
    },
    {
        "name": "ams-mixed",
        "count": 40,
        "proxy": {"location": "Amsterdam", "protocol": "mixed", "labels": {"tier": "silver"}},
    },
    {
        "name": "waw-mixed",
        "count": 24,
        "proxy": {"location": "Warsaw", "protocol": "mixed", "labels": {"tier": "silver"}},
    },
    {
        "name": "us-socks",
        "count": 48,
        "proxy": {"location": "New York", "protocol": "socks5", "labels": {"tier": "gold"}},
    },
    {
        "name": "trial",
        "count": 8,
        "proxy": {
            "location": "Frankfurt",
            "protocol": "mixed",
            "labels": {"tier": "trial"},
            "limits": {"connections": 20, "traffic_bytes": 20_000_000, "traffic_period": "day"},
        },
    },
    {
        "name": "rotating",
        "count": 6,
        "proxy": {
            "location": "Frankfurt",
            "protocol": "mixed",
            "labels": {"tier": "platinum"},
            "rotation": {"every_s": 60, "jitter_s": 30, "what": ["credentials"], "overlap_s": 20},
        },
    },
)

CUSTOMERS = tuple(range(1, 31))
EXPIRING, SUSPENDED = 4, 9
"""Customers whose time ends within days, and whose proxies are switched off."""


def bought(customer: int) -> int:
    """Return how many proxies a customer has, from 2 to 5: the same at each start."""
    return 2 + customer * 7 % 4
