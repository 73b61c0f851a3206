"""Where a request goes, and with which head."""

from functools import lru_cache
from typing import NamedTuple

from node.engine.builtin.access import basic_credentials
from node.engine.builtin.destinations import Destination, read_absolute, read_authority
from node.engine.builtin.http_fields import MEMORABLE, NO_BODY, REMEMBERED, Refusal
from node.engine.builtin.http_request import Request, forwarded, read_request


class Route(NamedTuple):
    """`head` is what the origin gets; nothing for a CONNECT."""

    destination: Destination
    head: bytes


def route(request: Request) -> Route | Refusal:
    """CONNECT names host:port, everything else an http:// URL."""
    if request.method != b"CONNECT":
        target = read_absolute(request.target)
        if target is None:
            return Refusal(400, "the request target is no http:// URL")
        return Route(target.destination, forwarded(request, target))
    destination = read_authority(request.target)
    if destination is None or request.body != NO_BODY:
        return Refusal(400, "a CONNECT names host:port and has no body")
    return Route(destination, b"")


class Order(NamedTuple):
    """All that a request head says; `credentials` as `access.allows` takes them. `alone`: no body follows."""

    request: Request
    route: Route | Refusal
    repeatable: bool
    alone: bool
    credentials: bytes | None


def order_of(head: bytes) -> Order | Refusal:
    """A head that was read before is not read again, for most clients repeat themselves: it is the same object."""
    return _remembered(head) if len(head) <= MEMORABLE else _order(head)


def _order(head: bytes) -> Order | Refusal:
    request = read_request(head)
    if isinstance(request, Refusal):
        return request
    return Order(
        request, route(request), request.repeatable, not request.has_body, basic_credentials(request.authorization)
    )


def order_at_once(data: bytes) -> Order | None:
    """What is ordered by the head of a request without a body, if these bytes are just that; None for all else."""
    if len(data) > MEMORABLE or data.find(b"\r\n\r\n") + 4 != len(data):
        return None
    order = _remembered(data)
    return order if isinstance(order, Order) and order.alone else None


_remembered = lru_cache(REMEMBERED)(_order)
