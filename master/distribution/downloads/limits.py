"""Limits of the download port for each client address: requests over time, and connections at once.

An IPv6 client counts by its /64, which one host has to itself. Loopback addresses are not limited: they are a reverse
proxy's, behind which all clients look the same. Bounded memory: the address that was seen longest ago is forgotten.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

REQUESTS_PER_S = 10.0
BURST = 200.0
"""An installation takes four requests, and a rack of hosts behind one address installs at once."""
MOST_ADDRESSES = 4096
CONNECTIONS = 512
CONNECTIONS_PER_CLIENT = 64


def client_of(address: str) -> str | None:
    """Return what a client is counted by; None for one that is not limited."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return None
    return str(found) if found.version == 4 else str(IPv6Address(int(found) >> 64 << 64))


class RequestRates:
    """A token bucket for each client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str | None) -> bool:
        """Count a request. Returns whether it is within the limit."""
        if client is None:
            return True
        now = self._clock()
        tokens, at = self._buckets.pop(client, (BURST, now))
        tokens = min(BURST, tokens + (now - at) * REQUESTS_PER_S)
        is_admitted = tokens >= 1
        self._buckets[client] = (tokens - is_admitted, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return is_admitted


class Connections:
    """Counts the open connections."""

    def __init__(self, most: int = CONNECTIONS, most_of_client: int = CONNECTIONS_PER_CLIENT) -> None:
        self._most, self._most_of_client = most, most_of_client
        self._open: Counter[str | None] = Counter()

    def open(self, client: str | None) -> bool:
        """Count a connection, unless there are too many. Returns whether it may stay."""
        if self._open.total() >= self._most or (client and self._open[client] >= self._most_of_client):
            return False
        self._open[client] += 1
        return True

    def close(self, client: str | None) -> None:
        """Count one less."""
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]
