"""The engines that this host has, opened together."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.net.own_addresses import own_networks
from node.engine.interface import Engine
from node.errors import NodeError
from node.settings import Settings
from shared.special_addresses import CLOSED
from shared.version import program_version

if TYPE_CHECKING:
    from node.engine.three_proxy.engine import ThreeProxyEngine

log = structlog.get_logger()


class HaltingEngine(Engine, Protocol):
    """An engine whose processes can all be ended."""

    async def halt(self) -> None:
        """End every process of this engine's directory."""
        ...


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of this node by name, and their versions."""

    by_name: Mapping[str, HaltingEngine]
    versions: Mapping[str, str]
    builtin: BuiltinEngine
    three_proxy: "ThreeProxyEngine | None" = None

    async def reached_at(self, ip: str) -> None:
        """Keep proxies from connecting to this address of the node, which the master has reported; empty until it
        has."""
        addresses = [ip] if ip else []
        if self.three_proxy is not None:
            self.three_proxy.reached_at(addresses)
        await self.builtin.reached_at(addresses)


@asynccontextmanager
async def opened_engines(settings: Settings, changed: asyncio.Event) -> AsyncGenerator[Engines]:
    """Open the engines that this host has; proxies that are already running are found again."""
    async with AsyncExitStack() as stack:
        builtin = BuiltinEngine(
            settings.builtin_dir,
            listen=settings.listen,
            workers=settings.workers,
            allow_destinations=settings.allow_destinations,
            deny_ports=settings.deny_ports,
            connections_per_source=settings.connections_per_source,
            unadmitted_connections=settings.unadmitted_connections,
            failed_logins=settings.failed_logins,
            half_closed_s=settings.half_closed_s,
            via=settings.via,
            on_change=changed.set,
        )
        try:
            engines: dict[str, HaltingEngine] = {"builtin": await stack.enter_async_context(builtin)}
        except OSError as error:
            raise NodeError(f"{settings.builtin_dir} cannot be created: {error.strerror}") from error
        versions = {"builtin": program_version()}
        three_proxy = None
        if settings.three_proxy is not None:
            from node.engine.three_proxy.binary import version as three_proxy_version  # noqa: PLC0415 (few hosts have it)
            from node.engine.three_proxy.engine import ThreeProxyEngine  # noqa: PLC0415

            three_proxy = ThreeProxyEngine(
                settings.data_dir / "3proxy",
                binary=settings.three_proxy,
                listen=settings.listen,
                closed=private_networks(),
                allow_destinations=settings.allow_destinations,
                deny_ports=settings.deny_ports,
                on_change=changed.set,
            )
            engines["3proxy"] = await stack.enter_async_context(three_proxy)
            versions["3proxy"] = await three_proxy_version(settings.three_proxy)
        yield Engines(engines, versions, builtin, three_proxy)


def private_networks() -> list[str]:
    """The networks that the built-in engine closes, as of now."""
    closed = set(CLOSED)
    try:
        closed |= own_networks()
    except (OSError, ValueError) as error:
        log.warning("guard.own_addresses_unknown", error=type(error).__name__)
    return sorted(map(str, closed))
