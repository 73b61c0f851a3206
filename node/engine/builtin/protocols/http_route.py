"""Finds a request's destination and writes the head to forward."""

from functools import lru_cache
from typing import NamedTuple

from node.engine.builtin.protocols.destinations import Destination, read_absolute, read_authority
from node.engine.builtin.protocols.http_auth import basic_credentials
from node.engine.builtin.protocols.http_fields import MEMORABLE, NO_BODY, REMEMBERED, Refusal
from node.engine.builtin.protocols.http_replies import HttpReply, own_reply
from node.engine.builtin.protocols.http_request import Request, forwarded, read_request


class Route(NamedTuple):
    """Where a request goes. `head` is for the origin; empty for CONNECT."""

    destination: Destination
    head: bytes


def route(request: Request, via: bytes = b"") -> Route | Refusal:
    """Read the target: host:port for CONNECT, an http:// URL for everything else. `via` is this proxy's name."""
    if request.method == b"CONNECT":
        return _tunnel_route(request)
    target = read_absolute(request.target)
    if target is None:
        return Refusal(400, why_unusable(request.target))
    return Route(target.destination, forwarded(request, target, via))


def _tunnel_route(request: Request) -> Route | Refusal:
    destination = read_authority(request.target)
    if destination is None:
        return Refusal(400, "CONNECT takes host:port, without a scheme, user information or a path")
    if request.body not in (NO_BODY, 0):
        return Refusal(400, "a CONNECT request has no body; send the data after the proxy's answer")
    return Route(destination, b"")


def why_unusable(target: bytes) -> str:
    """Explain why an absolute-form target is refused and what to do about it, without repeating text that may be
    secret."""
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
    """The complete meaning of a request head. `credentials` are `name:password`; `alone`: no body follows."""

    request: Request
    route: Route | Refusal | HttpReply
    repeatable: bool
    alone: bool
    credentials: bytes | None


def routed_request(head: bytes, via: bytes) -> RoutedRequest | Refusal:
    """Parse a head, or return the cached result: most clients repeat themselves. The same head gives the same
    object."""
    return _cached_route(head, via) if len(head) <= MEMORABLE else _read_route(head, via)


def _read_route(head: bytes, via: bytes) -> RoutedRequest | Refusal:
    request = read_request(head)
    if isinstance(request, Refusal):
        return request
    answer = route(request, via)
    if isinstance(answer, Route):
        answer = own_reply(request, head) or answer
    return RoutedRequest(
        request, answer, request.repeatable, not request.has_body, basic_credentials(request.authorization)
    )


def whole_request(data: bytes, via: bytes) -> RoutedRequest | None:
    """The request in `data` if `data` is exactly one head without a body; None otherwise."""
    if len(data) > MEMORABLE or data.find(b"\r\n\r\n") + 4 != len(data):
        return None
    routed = _cached_route(data, via)
    return routed if isinstance(routed, RoutedRequest) and routed.alone else None


_cached_route = lru_cache(REMEMBERED)(_read_route)
