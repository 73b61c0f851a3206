"""Ports and hosts that a proxy's clients may not reach, with real workers and sockets."""

from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.datagrams import association, datagrams
from tests.clients.streams import (
    HERE,
    LOCAL,
    LOGIN,
    dialled,
    echo,
    echoes,
    head_of,
    record,
    said,
    serving,
    tunnel,
    until,
)


async def answered(proxy: ProxyRecord, host: str, port: int) -> tuple[bytes, bytes]:
    """Status and reason of a CONNECT."""
    async with dialled(proxy.port) as (reader, writer):
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        head = await head_of(reader)
        status = head.split()[1]
        return status, b"" if status == b"200" else await reader.readline()


async def refusals(engine: BuiltinEngine, **expected: int) -> None:
    async def told() -> bool:
        return any(dict(each.refused) == expected for each in await engine.usage())

    await until(told)


def changed(proxy: ProxyRecord, version: int = 2, **destinations: Any) -> ProxyRecord:
    fields = proxy.model_dump() | {"version": version, "destinations": destinations}
    return ProxyRecord.model_validate(fields)


async def test_mail_is_refused_by_default_and_counted_as_a_port(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    assert await answered(proxy, HERE, 25) == (
        b"403",
        b"the destination's port is closed to the clients of this proxy\n",
    )
    async with dialled(proxy.port) as (reader, writer):
        answer = await said(reader, writer, b"\5\1\2\1\5alice\6wonder" + b"\5\1\0\1\x7f\0\0\1\0\x19")
    assert answer[4:6] == b"\5\2"
    await engine.start(changed(proxy, allow_ports=["1-65535"]))
    assert (await answered(proxy, HERE, 25))[0] == b"502"
    await refusals(engine, port=2)


async def test_names_and_addresses_are_refused_and_counted_as_a_host(engine: BuiltinEngine) -> None:
    """`localhost` by its name, and by what it resolves to."""
    async with serving(echo) as port:
        await engine.start(proxy := record(destinations={"deny_hosts": ["localhost"]}))
        assert [(await answered(proxy, host, port))[0] for host in ("LocalHost", HERE)] == [b"403", b"200"]
        await engine.start(changed(proxy, deny_hosts=["127.0.0.0/8", "::1"]))
        assert [(await answered(proxy, host, port))[0] for host in ("localhost", HERE)] == [b"403", b"403"]
    await refusals(engine, host=3)


@pytest.mark.parametrize("by", ["port", "network"])
async def test_open_tunnels_to_what_is_closed_now_are_closed_and_others_go_on(engine: BuiltinEngine, by: str) -> None:
    await engine.start(proxy := record())
    async with (
        serving(echo) as port,
        serving(echo, "127.0.0.2") as other,
        tunnel(proxy, port) as closing,
        dialled(proxy.port) as staying,
    ):
        staying[1].write(f"CONNECT 127.0.0.2:{other} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
        assert b" 200 " in await head_of(staying[0])
        closed = {"deny_ports": [port]} if by == "port" else {"deny_hosts": [HERE]}
        await engine.start(changed(proxy, **closed))
        assert await closing[0].read() == b""
        assert await echoes(staying)


async def test_datagrams_obey_too(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams() as closed, datagrams() as target, association(proxy) as client:
        await engine.start(changed(proxy, deny_ports=[closed.port]))
        for _ in range(3):
            client.send(b"secret", closed.port)
        client.send(b"last", target.port)
        assert (await target.next())[0] == b"last"
        assert closed.heard.empty()
    await refusals(engine, port=1)


async def test_the_nodes_setting_holds_for_proxies_that_say_nothing(tmp_path: Path) -> None:
    async with (
        serving(echo) as port,
        BuiltinEngine(tmp_path / "engine", workers=1, allow_destinations=LOCAL, deny_ports=(port,)) as engine,
    ):
        await engine.start(proxy := record())
        assert (await answered(proxy, HERE, port))[0] == b"403"
        await engine.start(changed(proxy, allow_ports=[port]))
        assert (await answered(proxy, HERE, port))[0] == b"200"
        await engine.halt()
