"""Addresses of the broker, which proxies of this node must not reach."""

import asyncio
import socket
from collections.abc import Sequence


async def broker_addresses(hosts: Sequence[str]) -> tuple[str, ...]:
    """Resolve the names of brokers to literal addresses, without those that cannot be resolved now."""
    found = [await resolved(host) for host in hosts]
    return tuple(sorted({address for each in found for address in each}))


async def resolved(host: str) -> set[str]:
    """Resolve one name to literal addresses; none while it cannot be resolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}
