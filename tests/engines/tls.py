"""Helpers for proxies of the built-in engine that speak TLS."""

from collections.abc import Awaitable, Callable

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyId
from tests.clients.origins import Certificate


def pem_of(made: Certificate) -> str:
    """The chain and the key, as an engine takes them."""
    return made.chain.read_text() + made.key.read_text()


def none_open(engine: BuiltinEngine, id_: int = 1) -> Callable[[], Awaitable[bool]]:
    """Whether no client of the proxy is connected."""

    async def nobody() -> bool:
        return (await engine.stats())[ProxyId(id_)]["open"] == 0

    return nobody
