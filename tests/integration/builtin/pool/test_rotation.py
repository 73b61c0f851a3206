"""A proxy with a further port and further credentials, by real workers and sockets; and the echo that checks go to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from master.domain.checks.probe import ProbeResult, probe, target_of
from master.domain.checks.results import Endpoint
from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import EngineError
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, free_port, record, serving
from tests.clients.traffic import Client, Refused, accepts, echo_server

ALICE = {"username": "alice", "password": "wonder"}
BOB = {"username": "bob", "password": "builder"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with echo_server() as port:
        client = Client(port)
        yield client
        await client.close()


def later(proxy: ProxyRecord, **changes: Any) -> ProxyRecord:
    """The next version."""
    fields = proxy.model_dump() | {"version": proxy.version + 1} | changes
    return ProxyRecord.model_validate(fields)


def at(port: int, login: dict[str, str]) -> dict[str, Any]:
    return {"host": HERE, "port": port, **login}


async def test_any_of_its_credentials_is_good_on_any_of_its_ports(engine: BuiltinEngine, client: Client) -> None:
    other = free_port()
    await engine.start(proxy := record(also=[{"port": other, **BOB}]))
    for place in (at(proxy.port, ALICE), at(proxy.port, BOB), at(other, ALICE), at(other, BOB)):
        await client.use(place)
    with pytest.raises(Refused, match="407"):
        await client.tunnel(at(other, {"username": "bob", "password": "wonder"}))


async def test_what_is_added_and_changes_places_disturbs_nobody_and_what_is_taken_away_closes_its_own_only(
    engine: BuiltinEngine, client: Client
) -> None:
    other = free_port()
    await engine.start(first := record())
    old = await client.tunnel(at(first.port, ALICE))
    await engine.start(both := later(first, also=[{"port": other, **BOB}]))
    new = await client.tunnel(at(other, BOB))
    swapped = later(both, port=other, **BOB, also=[{"port": first.port, **ALICE}])
    await engine.start(swapped)
    await old.beat()
    await new.beat()
    await engine.start(later(swapped, also=[]))
    assert await old.ended(2)
    await new.beat()
    assert not await accepts(at(first.port, ALICE))
    await client.use(at(other, BOB))


async def test_a_further_port_that_is_taken_leaves_the_old_version_as_it_was(
    engine: BuiltinEngine, client: Client
) -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    await engine.start(proxy := record())
    async with serving(nothing) as taken:
        with pytest.raises(EngineError, match=f"port {taken} is taken"):
            await engine.start(later(proxy, also=[{"port": taken, **BOB}]))
        assert dict(await engine.running()) == {proxy.id: proxy.version}
        await client.use(at(proxy.port, ALICE))


async def test_both_ports_go_on_in_a_new_process(engine: BuiltinEngine, client: Client) -> None:
    other = free_port()
    await engine.start(proxy := record(also=[{"port": other, **BOB}]))
    held = [await client.tunnel(at(proxy.port, ALICE)), await client.tunnel(at(other, BOB))]
    await engine.upgrade()
    for each in held:
        await each.beat()
    await client.use(at(other, BOB))
    await engine.start(later(proxy, also=[]))
    await held[0].beat()
    assert not await accepts(at(other, BOB))


async def checked(proxy: ProxyRecord, **changes: Any) -> ProbeResult:
    fields: dict[str, Any] = {
        "host": HERE,
        "port": proxy.port,
        "protocol": proxy.protocol,
        "tls": proxy.tls,
        "engine": "builtin",
        "allow_ips": (),
        **ALICE,
    }
    return await probe(Endpoint(**(fields | changes)), target_of(None))


@pytest.mark.parametrize("protocol", ["http", "socks5", "mixed"])
async def test_a_check_through_any_protocol_reaches_the_echo_and_learns_the_exit(
    engine: BuiltinEngine, protocol: str
) -> None:
    await engine.start(proxy := record(protocol=protocol, exit={"mode": "address", "address": "127.0.0.9"}))
    verdict = await checked(proxy)
    assert (verdict.failure, verdict.exit_ip) == (None, "127.0.0.9")


@pytest.mark.parametrize("protocol", ["http", "socks5"])
async def test_a_check_names_the_step_that_failed(engine: BuiltinEngine, protocol: str) -> None:
    await engine.start(proxy := record(protocol=protocol, exit={"mode": "address", "address": "192.0.2.1"}))
    steps = [
        (await checked(proxy, port=free_port())).failure,
        (await checked(proxy, password="guess")).failure,
        (await checked(proxy)).failure,
    ]
    assert [failure.step if failure else None for failure in steps] == ["connect", "login", "destination"]
