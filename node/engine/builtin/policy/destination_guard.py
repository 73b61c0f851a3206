"""Which addresses a proxy may connect to: public ones, and the others that the node's setting opens."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from shared.special_addresses import IpAddress, IpNetwork, forms, kind_of

_REMEMBERED = 8192


def networks(texts: Iterable[str]) -> tuple[IpNetwork, ...]:
    """Raises ValueError for what is neither a network nor an address."""
    return tuple(ip_network(text, strict=False) for text in texts)


class DestinationGuard:
    """`opened` wins over everything; `own` are the node's addresses and services, which are private to it."""

    __slots__ = ("_known", "_opened", "_own")

    def __init__(self, opened: Iterable[IpNetwork] = (), own: Iterable[IpNetwork] = ()) -> None:
        self._opened = tuple(opened)
        self._own = tuple(own)
        self._known: dict[str, bool] = {}

    def permits(self, host: str) -> bool:
        """Whether this literal address may be dialled; asked after every name is resolved, whatever the name said."""
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
        return _inside(form, self._opened) or (kind_of(form) is None and not _inside(form, self._own))


def _inside(address: IpAddress, places: Iterable[IpNetwork]) -> bool:
    return any(address in place for place in places)
