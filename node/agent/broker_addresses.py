"""Addresses of the broker, which proxies of this node must not reach."""

import asyncio
import socket
from urllib.parse import urlsplit


async def broker_addresses(amqp_url: str) -> tuple[str, ...]:
    """Resolve the broker's name to literal addresses; none while it cannot be resolved."""
    host = urlsplit(amqp_url).hostname
    if not host:
        return ()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(address[0]).partition("%")[0] for *_, address in found}))
