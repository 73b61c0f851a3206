"""How many connections a proxy of the built-in engine may have at once."""

from contextlib import AsyncExitStack

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.streams import HERE, dialled, echo, echoes, record, said, serving, tunnel, until
from tests.engines.limited import answer_to_connect, limited, refusals

SOCKS_LOGIN = b"\5\1\2\1\5alice\6wonder"


async def test_one_connection_too_many_is_refused_until_another_ends(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 2}))
    async with serving(echo) as port, tunnel(proxy, port) as first:
        async with tunnel(proxy, port) as second:
            answer = await answer_to_connect(proxy, port)
            assert answer.startswith(b"HTTP/1.1 429")
            assert b"all 2 connections of this proxy are in use" in answer
            async with dialled(proxy.port) as (reader, writer):
                request = SOCKS_LOGIN + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2)
                assert (await said(reader, writer, request))[4:6] == b"\5\2"
            assert await echoes(first)
            assert await echoes(second)

        async def there_is_room() -> bool:
            return (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 200")

        await until(there_is_room)
        assert await echoes(first, b"all the while")

    async def told() -> bool:
        return (await refusals(engine, proxy.id)).get("limit", 0) >= 2

    await until(told)


async def test_who_has_no_password_takes_no_seat(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 1}))
    async with serving(echo) as port, AsyncExitStack() as strangers:
        for _ in range(5):
            _, writer = await strangers.enter_async_context(dialled(proxy.port))
            writer.write(f"CONNECT {HERE}:{port} HTTP/1.1\r\n\r\n".encode())
        async with tunnel(proxy, port) as streams:
            assert await echoes(streams)


async def test_a_lowered_limit_ends_no_connection_and_lets_none_in(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"connections": 3}))
    async with serving(echo) as port, tunnel(proxy, port) as first, tunnel(proxy, port) as second:
        await engine.start(limited(proxy, connections=1))
        assert (await answer_to_connect(proxy, port)).startswith(b"HTTP/1.1 429")
        assert await echoes(first)
        assert await echoes(second)
