"""Where the node's own services are, which proxies must not reach: the broker."""

import asyncio
import socket
from urllib.parse import urlsplit


async def broker_addresses(amqp_url: str) -> tuple[str, ...]:
    """The literal addresses behind the broker's name; none while it cannot be resolved."""
    host = urlsplit(amqp_url).hostname
    if not host:
        return ()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(address[0]).partition("%")[0] for *_, address in found}))
