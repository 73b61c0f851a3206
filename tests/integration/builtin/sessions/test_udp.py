"""UDP ASSOCIATE of the built-in engine (RFC 1928 §7), with real workers and sockets."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.datagrams import Association, Datagrams, association, datagrams, headed, place
from tests.clients.streams import HERE, record, until


async def silence(end: Datagrams, client: Association, target: Datagrams) -> None:
    """What was sent before has been dealt with when this one, to the target, has come through."""
    client.send(b"last", target.port)
    while (await target.next())[0] != b"last":
        pass
    assert end.heard.empty()


@pytest.mark.parametrize("host", [HERE, "::1"])
@pytest.mark.parametrize("where", [HERE, "::1", "::ffff:127.0.0.1"])
async def test_datagrams_go_there_and_back_over_both_families(engine: BuiltinEngine, host: str, where: str) -> None:
    await engine.start(proxy := record())
    plain = where.removeprefix("::ffff:")
    async with datagrams(plain, echoes=True) as target, association(proxy, host=host) as client:
        for payload in (b"question", b"?", b"x" * 8000):
            client.send(payload, target.port, where)
            assert await client.answer() == headed(payload, target.port, plain)
        assert client.relay[0] == host


async def test_a_name_is_looked_up_and_the_answer_comes_from_an_address(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams(echoes=True) as target, association(proxy) as client:
        client.send(b"one", target.port, "127.1")
        client.send(b"two", target.port, "127.1")
        answers = {await client.answer(), await client.answer()}
    assert answers == {headed(payload, target.port, HERE) for payload in (b"one", b"two")}


async def test_payload_counts_in_both_directions(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams(echoes=True) as target, association(proxy) as client:
        for size in (100, 1000):
            client.send(b"x" * size, target.port)
            await client.answer()
        counted = (await engine.stats())[proxy.id]
    assert (counted["received_bytes"], counted["sent_bytes"]) == (1100, 1100)


async def test_strangers_are_neither_served_nor_answered(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams() as target, association(proxy) as client, datagrams("127.0.0.2") as stranger:
        stranger.send(headed(b"stranger", target.port, HERE), client.relay)
        client.send(b"first", target.port)
        assert (await target.next())[0] == b"first"
        stranger.send(headed(b"stranger", target.port, HERE), client.relay)
        await silence(stranger, client, target)


async def test_a_client_whose_port_moves_is_answered_where_it_is_now(engine: BuiltinEngine) -> None:
    """As behind a NAT that has forgotten it; other clients of the same address have associations of their own."""
    await engine.start(proxy := record())
    async with (
        datagrams(echoes=True) as target,
        association(proxy) as client,
        association(proxy) as other,
        datagrams() as moved,
    ):
        for one in (client, other):
            one.send(b"before", target.port)
            await one.answer()
        moved.send(headed(b"after", target.port, HERE), client.relay)
        assert (await moved.next())[0] == headed(b"after", target.port, HERE)
        other.send(b"still", target.port)
        assert await other.answer() == headed(b"still", target.port, HERE)
        client.send(b"back", target.port)
        assert await client.answer() == headed(b"back", target.port, HERE)


async def test_only_who_was_written_to_may_answer(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams() as target, datagrams() as stranger, association(proxy) as client:
        client.send(b"question", target.port)
        _, seen_from = await target.next()
        stranger.send(b"unasked", seen_from)
        target.send(b"answer", seen_from)
        assert await client.answer() == headed(b"answer", target.port, HERE)
        assert client.end.heard.empty()


async def test_a_client_that_announced_its_port_is_served_from_there_only(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams() as target, datagrams() as announced, datagrams() as other:
        told = place(HERE) + struct.pack("!H", announced.port)
        async with association(proxy, announced=told, end=announced) as client:
            other.send(headed(b"stranger", target.port, HERE), client.relay)
            await silence(other, client, target)


async def test_fragments_and_garbage_are_dropped_and_the_next_datagram_goes_through(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams() as target, association(proxy) as client:
        whole = headed(b"fragment", target.port, HERE)
        for garbage in (
            b"",
            b"\0",
            whole[:2] + b"\1" + whole[3:],
            whole[:2] + b"\x81" + whole[3:],
            whole[:7],
            b"GET /",
        ):
            client.end.send(garbage, client.relay)
        client.send(b"last", target.port)
        assert (await target.next())[0] == b"last"


async def test_destinations_private_to_the_node_get_nothing(tmp_path: Path) -> None:
    async with BuiltinEngine(tmp_path / "engine", workers=1, allow_destinations=("127.0.0.1",)) as engine:
        await engine.start(proxy := record())
        async with datagrams() as target, datagrams("127.0.0.2") as private, association(proxy) as client:
            client.send(b"secret", private.port, "127.0.0.2")
            client.send(b"secret", private.port, "127.2")
            await silence(private, client, target)
        await engine.halt()


async def test_a_destination_that_refuses_does_not_disturb_the_others(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams(echoes=True) as target, association(proxy) as client:
        async with datagrams() as closed:
            port = closed.port
        for _ in range(3):
            client.send(b"to nobody", port)
            client.send(b"ping", target.port)
            assert await client.answer() == headed(b"ping", target.port, HERE)


async def test_an_association_ends_with_its_connection_and_others_go_on(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams(echoes=True) as target, association(proxy) as staying:
        async with association(proxy) as ending:
            ending.send(b"ping", target.port)
            await ending.answer()
            relay = ending.relay

        async def closed() -> bool:
            return (await engine.stats())[proxy.id]["open"] == 1

        await until(closed)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(relay)
        staying.send(b"still here", target.port)
        assert await staying.answer() == headed(b"still here", target.port, HERE)


async def test_a_stopped_proxy_and_a_changed_password_end_the_association(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with association(proxy) as client:
        await engine.start(record(port=proxy.port, version=2, password="changed"))
        async with asyncio.timeout(1):
            assert await client.reader.read() == b""
    await engine.start(other := record(2))
    async with association(other) as client:
        await engine.stop(other.id)
        async with asyncio.timeout(1):
            assert await client.reader.read() == b""


async def test_what_the_client_says_over_the_connection_is_ignored(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record())
    async with datagrams(echoes=True) as target, association(proxy) as client:
        client.writer.write(b"anything" * 1000)
        client.send(b"ping", target.port)
        assert await client.answer() == headed(b"ping", target.port, HERE)


async def test_associations_of_one_proxy_have_an_end(engine: BuiltinEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.engine.builtin.policy.descriptor_shares import descriptor_shares
    from node.engine.builtin.protocols.destinations import Destination
    from node.engine.builtin.protocols.failures import ConnectFailure
    from node.engine.builtin.sessions.client import Client
    from node.engine.builtin.sessions.udp_associate import associate

    few = descriptor_shares(1024)

    class Full:
        proxy = type("Proxy", (), {"associations": few.associations})
        reactor = type("Reactor", (), {"shares": few})

    client: Client = Full()  # type: ignore[assignment]
    assert associate(client, Destination("0.0.0.0", 0)) is ConnectFailure.EXHAUSTED


async def test_datagrams_are_held_to_the_bandwidth_and_lost_beyond_it(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"bandwidth_bps": 800_000}))
    loop = asyncio.get_running_loop()
    async with datagrams() as target, association(proxy) as client:
        end = loop.time() + 3
        while loop.time() < end:
            client.send(bytes(1000), target.port)
            await asyncio.sleep(0.001)
        count = target.heard.qsize()
    assert 200 <= count <= 420


async def test_a_spent_quota_ends_the_association(engine: BuiltinEngine) -> None:
    await engine.start(proxy := record(limits={"traffic_bytes": 10_500}))
    async with datagrams() as target, association(proxy) as client:
        for _ in range(20):
            client.send(bytes(1000), target.port)
        async with asyncio.timeout(2):
            assert await client.reader.read() == b""
        assert sum([len((await target.next())[0]) for _ in range(11)]) == 11_000
        assert target.heard.empty()
