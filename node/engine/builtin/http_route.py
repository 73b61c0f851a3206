"""Where a request goes, and with which head."""

from typing import NamedTuple

from node.engine.builtin.destinations import Destination, read_absolute, read_authority
from node.engine.builtin.http_fields import NO_BODY, Refusal
from node.engine.builtin.http_request import Request, forwarded


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
