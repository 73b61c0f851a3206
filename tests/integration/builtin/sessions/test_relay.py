"""How a tunnel of the built-in engine moves bulk data: through pipes while there are any, exactly counted."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from fcntl import F_GETPIPE_SZ, fcntl
from itertools import pairwise

import pytest

from node.engine.builtin.net.pipe_pool import PIPE, PipePool
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.sessions.rate_limit import DOWN, Relay
from tests.clients.streams import LIMIT_S
from tests.clients.tunnels import DATA, Ends, closed, opened


@pytest.fixture
async def reactor() -> AsyncIterator[Reactor]:
    opened = Reactor(asyncio.get_running_loop())
    yield opened
    opened.close()


@pytest.fixture
def make(reactor: Reactor) -> Iterator[Callable[[], Ends]]:
    made: list[Ends] = []

    def new() -> Ends:
        made.append(opened(reactor))
        return made[-1]

    yield new
    for ends in made:
        closed(ends)


@pytest.fixture
def ends(make: Callable[[], Ends]) -> Ends:
    return make()


def arrived(ends: Ends) -> bool:
    ends.pour()
    ends.drink()
    return len(ends.got) == len(DATA)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_bulk_goes_through_a_pipe_that_is_given_back(ends: Ends) -> None:
    before = descriptors()
    ends.until(lambda: arrived(ends))
    assert descriptors() == before + 2
    ends.reactor.pipes.trim()
    ends.reactor.pipes.trim()
    assert descriptors() == before
    assert ends.got == DATA
    assert ends.service.sent == len(DATA)


def test_the_first_pipes_are_large_and_all_together_are_what_an_unprivileged_user_may_have() -> None:
    pipes = PipePool(most=160)
    taken = list(iter(pipes.take, None))
    sizes = [fcntl(pipe.write, F_GETPIPE_SZ) for pipe in taken]
    for pipe in taken:
        pipes.put_back(pipe)
    pipes.close()
    assert sizes[0] == PIPE > sizes[-1] == 262144
    assert sum(sizes) < 64 * 2**20


async def test_a_stalled_receiver_holds_one_pipe_and_only_what_it_took_is_counted(ends: Ends) -> None:
    ends.stall()
    client = ends.tunnel.client
    assert client.pipe is not None
    assert 0 < client.waiting <= PIPE
    assert len(client.pending) == 0
    taken = ends.service.sent
    async with asyncio.timeout(LIMIT_S):
        while len(ends.got) < taken:
            ends.drink()
            await asyncio.sleep(0)
    ends.until(lambda: arrived(ends))
    assert ends.got == DATA
    assert client.pipe is None


async def test_a_sender_that_ends_while_its_data_is_in_a_pipe_loses_nothing(ends: Ends) -> None:
    ends.left = DATA
    ends.stall()
    sent = DATA[: len(DATA) - len(ends.left)]
    ends.far.shutdown(socket.SHUT_WR)
    ends.reactor.serve(0.02)
    ends.until(lambda: ends.drink() == b"")
    assert ends.got == sent
    ends.near.send(b"and back")
    ends.until(lambda: ends.service.received == len(b"and back"))
    assert ends.far.recv(100) == b"and back"


async def test_a_reset_while_data_is_in_a_pipe_reaches_the_receiver_and_frees_the_pipe(ends: Ends) -> None:
    before = descriptors()
    ends.stall()
    ends.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.far.close()
    ends.until(lambda: ends.tunnel.client.fd < 0)
    assert descriptors() == before - 3
    with pytest.raises(ConnectionResetError):
        ends.drink()


async def test_without_a_pipe_to_be_had_data_is_copied(make: Callable[[], Ends], reactor: Reactor) -> None:
    reactor.pipes = PipePool(most=1)
    first, second = make(), make()
    first.stall()
    second.stall()
    assert first.tunnel.client.pipe is not None
    assert second.tunnel.client.pipe is None
    assert 0 < len(second.tunnel.client.pending) <= 65536
    second.until(lambda: arrived(second))
    first.until(lambda: arrived(first))
    assert first.got == second.got == DATA
    assert first.service.sent == second.service.sent == len(DATA)


class Miser:
    """Allows so many bytes at a time, and then nothing until it is asked again."""

    def __init__(self, portion: int) -> None:
        self.portion = portion
        self.relays: list[Relay] = []
        self.refused = False

    def allowance(self, relay: Relay, direction: int, wanted: int) -> int:
        assert direction == DOWN
        self.refused = not self.refused
        if not self.refused:
            return min(self.portion, wanted)
        self.relays.append(relay)
        return 0

    def relent(self) -> None:
        while self.relays:
            self.relays.pop().resume()


@pytest.mark.parametrize("portion", [50_000, 200_000])
async def test_no_more_moves_than_the_pace_allows(ends: Ends, portion: int) -> None:
    rate_limit = ends.service.rate_limit = Miser(portion)
    ends.left = DATA[: 1 << 20]
    ends.pour()
    ends.until(lambda: bool(rate_limit.relays))
    counts: list[int] = []

    def whole() -> bool:
        counts.append(ends.service.sent)
        ends.pour()
        ends.drink()
        rate_limit.relent()
        return len(ends.got) == 1 << 20

    ends.until(whole)
    assert ends.got == DATA[: 1 << 20]
    assert max(later - earlier for earlier, later in pairwise(counts)) <= portion
