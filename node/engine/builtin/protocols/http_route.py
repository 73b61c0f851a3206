"""Where a request goes, and with which head."""

from functools import lru_cache
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import Destination, read_absolute, read_authority
from node.engine.builtin.protocols.http_auth import basic_credentials
from node.engine.builtin.protocols.http_fields import MEMORABLE, NO_BODY, REMEMBERED, Refusal
from node.engine.builtin.protocols.http_replies import HttpReply, own_answer
from node.engine.builtin.protocols.http_request import Request, forwarded, read_request


class Route(NamedTuple):
    """`head` is what the origin gets; nothing for a CONNECT."""

    destination: Destination
    head: bytes


def route(request: Request, via: bytes = b"") -> Route | Refusal:
    """CONNECT names host:port, everything else an http:// URL. `via` is the name of this proxy."""
    if request.method == b"CONNECT":
        return _tunnel_route(request)
    target = read_absolute(request.target)
    if target is None:
        return Refusal(400, unusable(request.target))
    return Route(target.destination, forwarded(request, target, via))


def _tunnel_route(request: Request) -> Route | Refusal:
    destination = read_authority(request.target)
    if destination is None:
        return Refusal(400, "CONNECT takes host:port, without a scheme, user information or a path")
    if request.body not in (NO_BODY, 0):
        return Refusal(400, "a CONNECT request has no body; send the data after the proxy's answer")
    return Route(destination, b"")


def unusable(target: bytes) -> str:
    """Why an absolute-form target is refused and what to do about it; never repeats what may be a secret."""
    scheme, absolute, rest = target.partition(b"://")
    if not absolute:
        return "the request target is not an absolute http:// URL, as proxies need it"
    if scheme.lower() == b"https":
        return "a proxy cannot open an https:// URL; request a tunnel with CONNECT host:443"
    if scheme.lower() != b"http":
        return "the scheme of the request target is not http; request a tunnel with CONNECT host:port"
    if b"#" in rest:
        return "the request target has a fragment; leave out the # and what follows it"
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    if b"@" in authority:
        return "the request target has user information before an @; send it in an Authorization field"
    return "the host or port of the request target is not valid"


class RoutedRequest(NamedTuple):
    """All that a request head says; `credentials` as `access.allows` takes them. `alone`: no body follows."""

    request: Request
    route: Route | Refusal | HttpReply
    repeatable: bool
    alone: bool
    credentials: bytes | None


def routed_request(head: bytes, via: bytes) -> RoutedRequest | Refusal:
    """A head that was read before is not read again, for most clients repeat themselves: it is the same object."""
    return _remembered(head, via) if len(head) <= MEMORABLE else _order(head, via)


def _order(head: bytes, via: bytes) -> RoutedRequest | Refusal:
    request = read_request(head)
    if isinstance(request, Refusal):
        return request
    way = route(request, via)
    if isinstance(way, Route):
        way = own_answer(request, head) or way
    return RoutedRequest(
        request, way, request.repeatable, not request.has_body, basic_credentials(request.authorization)
    )


def routed_at_once(data: bytes, via: bytes) -> RoutedRequest | None:
    """What is ordered by the head of a request without a body, if these bytes are just that; None for all else."""
    if len(data) > MEMORABLE or data.find(b"\r\n\r\n") + 4 != len(data):
        return None
    order = _remembered(data, via)
    return order if isinstance(order, RoutedRequest) and order.alone else None


_remembered = lru_cache(REMEMBERED)(_order)
