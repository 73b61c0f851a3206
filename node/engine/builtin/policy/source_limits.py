"""Limits the connections of each client address at a worker, so that no single client takes all descriptors."""

from functools import lru_cache
from ipaddress import IPv6Address


class SourceLimits:
    """Counts connections per client address over all proxies of the worker."""

    __slots__ = ("_open", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[str, int] = {}

    def enter(self, source: str) -> bool:
        """Count one more connection if there is room for it, and return whether there is."""
        key, open_ = group(source), self._open
        count = open_.get(key, 0)
        if count >= self.most:
            return False
        open_[key] = count + 1
        return True

    def enter_anyway(self, source: str) -> None:
        """Count a connection that another worker has let in."""
        key = group(source)
        self._open[key] = self._open.get(key, 0) + 1

    def open(self, source: str) -> int:
        """The number of open connections of this source."""
        return self._open.get(group(source), 0)

    def leave(self, source: str) -> None:
        key = group(source)
        left = self._open.get(key, 0) - 1
        if left > 0:
            self._open[key] = left
        else:
            self._open.pop(key, None)


@lru_cache(maxsize=4096)
def group(source: str) -> str:
    """The key under which a source is counted: an IPv4 address, or the /64 of an IPv6 address, because one customer can
    use any address in it."""
    if ":" not in source:
        return source
    address = IPv6Address(source.partition("%")[0])
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
