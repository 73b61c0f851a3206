"""Addresses to which proxies may connect: public ones, and networks that a setting of the node opens."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from shared.special_addresses import IpAddress, IpNetwork, forms, kind_of

_REMEMBERED = 8192


def networks(texts: Iterable[str]) -> tuple[IpNetwork, ...]:
    """Parse networks and addresses. Raises ValueError for anything else."""
    return tuple(ip_network(text, strict=False) for text in texts)


class DestinationGuard:
    """Checks destination addresses. `opened` takes precedence over everything; `own` are the node's own addresses and
    services, which are private to it."""

    __slots__ = ("_known", "_opened", "_own")

    def __init__(self, opened: Iterable[IpNetwork] = (), own: Iterable[IpNetwork] = ()) -> None:
        self._opened = tuple(opened)
        self._own = tuple(own)
        self._known: dict[str, bool] = {}

    def permits(self, host: str) -> bool:
        """Whether clients may be connected to this literal address. Every address that a name resolves to is
        checked."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[host] = self._judged(host)
        return known

    def _judged(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return all(self._is_open(form) for form in forms(address))

    def _is_open(self, form: IpAddress) -> bool:
        return _is_inside(form, self._opened) or (kind_of(form) is None and not _is_inside(form, self._own))


def _is_inside(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    return any(address in network for network in networks)
