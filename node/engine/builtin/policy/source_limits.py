"""How many connections each client address has open at a worker, so that no one of them takes all descriptors."""

from functools import lru_cache
from ipaddress import IPv6Address


class SourceLimits:
    """Counted over all proxies of the worker; at most `most` of each."""

    __slots__ = ("_open", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[str, int] = {}

    def enter(self, source: str) -> bool:
        """Whether there was room for one more connection; it is counted then."""
        key, open_ = group(source), self._open
        count = open_.get(key, 0)
        if count >= self.most:
            return False
        open_[key] = count + 1
        return True

    def enter_anyway(self, source: str) -> None:
        """One that was let in elsewhere."""
        key = group(source)
        self._open[key] = self._open.get(key, 0) + 1

    def open(self, source: str) -> int:
        """Its connections."""
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
    """An IPv4 address; of an IPv6 address the /64, for one customer has as many addresses in it as he likes."""
    if ":" not in source:
        return source
    address = IPv6Address(source.partition("%")[0])
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
