"""A fast stream that the kernel gathers: whatever ends it, all of it arrives, and in time."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from node.engine.builtin.net import reactor
from node.engine.builtin.net.connection import Connection
from node.engine.builtin.net.loop import Loop
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.bulk_detection import BULK_BATCH
from node.engine.builtin.worker.handover.connections import pack
from tests.clients.streams import LIMIT_S
from tests.clients.tunnels import DATA, Ends, closed, opened


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = opened(Reactor(asyncio.get_running_loop()))
    yield made
    closed(made)
    made.reactor.close()


def least(wire: Connection) -> int:
    """Bytes from which on the kernel tells of them."""
    return wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def gathered(ends: Ends) -> Connection:
    """The destination's side of the tunnel, as after a tenth of a second of a gigabyte each."""
    origin = ends.tunnel.origin
    ends.until(lambda: _arrived(ends, len(DATA)))
    for _ in range(100):
        ends.reactor.now += 0.001
        origin.detect_bulk(BULK_BATCH)
    assert least(origin) == BULK_BATCH
    ends.got.clear()
    return origin


def _arrived(ends: Ends, count: int) -> bool:
    ends.pour()
    ends.drink()
    return len(ends.got) == count


async def test_what_comes_before_a_pause_arrives_and_the_stream_is_gathered_no_more(ends: Ends) -> None:
    origin = gathered(ends)
    ends.far.send(b"and then silence")
    ends.until(lambda: _arrived(ends, 16))
    assert ends.got == b"and then silence"
    assert least(origin) == 1
    assert not ends.reactor.batching.entries


async def test_a_stream_that_goes_on_is_taken_in_large_pieces(ends: Ends) -> None:
    origin = gathered(ends)
    ends.reactor.now += LIMIT_S  # a busy host must not make a pause of it
    origin.detect_bulk(BULK_BATCH)
    before = ends.service.sent
    ends.left = DATA
    ends.pour()
    while ends.service.sent == before:
        ends.reactor.serve(0)
    assert ends.service.sent - before == BULK_BATCH
    ends.until(lambda: _arrived(ends, len(DATA)))
    assert ends.got == DATA
    ends.until(lambda: least(origin) == 1)


async def test_the_end_of_a_gathered_stream_is_not_waited_for(ends: Ends) -> None:
    gathered(ends)
    ends.far.send(b"the last")
    ends.far.shutdown(socket.SHUT_WR)
    ends.reactor.serve(0)
    ends.reactor.serve(0)
    assert ends.drink() == b""
    assert ends.got == b"the last"


async def test_a_reset_of_a_gathered_stream_reaches_the_receiver(ends: Ends) -> None:
    gathered(ends)
    ends.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.far.close()
    ends.reactor.serve(0)
    with pytest.raises(ConnectionResetError):
        ends.drink()
    ends.until(lambda: not ends.reactor.batching.entries)


async def test_a_worker_that_takes_a_tunnel_over_is_told_of_every_byte(ends: Ends) -> None:
    origin = gathered(ends)
    packed = pack(ends.tunnel.client)
    assert packed is not None
    assert least(origin) == 1
    packed.resume()
    ends.far.send(b"still here")
    ends.until(lambda: _arrived(ends, 10))
    assert ends.got == b"still here"


def test_nothing_else_has_to_happen_for_the_last_piece_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "_TICK_S", 10 * LIMIT_S)

    async def paused() -> bytes:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        made = opened(Reactor(loop))
        gathered(made)
        loop.add_reader(made.near, arrived.set)
        made.far.send(b"and then silence")
        async with asyncio.timeout(LIMIT_S):
            await arrived.wait()
        loop.remove_reader(made.near)
        made.drink()
        closed(made)
        made.reactor.close()
        return bytes(made.got)

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(paused()) == b"and then silence"
