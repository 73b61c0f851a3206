"""How the built-in engine connects to a destination that has several addresses, with real sockets."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.net.connection import Connection
from node.engine.builtin.net.dns import resolver
from node.engine.builtin.net.dns.resolver import Address
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.net.timeouts import ATTEMPT_S
from node.engine.builtin.policy.destination_guard import DestinationGuard, networks
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import read_record
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.connector import Connector
from node.engine.builtin.sessions.proxy import Proxy
from tests.clients.streams import LIMIT_S, LOCAL

V4, V6 = socket.AF_INET, socket.AF_INET6


class Caller:
    """Waits for what becomes of a dial."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Connection | ConnectFailure] = asyncio.get_running_loop().create_future()

    def connected(self, wire: Connection) -> None:
        self.outcome.set_result(wire)

    def connect_failed(self, failure: ConnectFailure) -> None:
        self.outcome.set_result(failure)

    @property
    def owner(self) -> object:
        return self

    def ready(self, fd: int, events: int) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError


@pytest.fixture
async def reactor() -> AsyncIterator[Reactor]:
    opened = Reactor(asyncio.get_running_loop())
    opened.may_connect = DestinationGuard(networks(LOCAL)).permits
    yield opened
    opened.close()


@contextmanager
def client_of(reactor: Reactor) -> Iterator[Client]:
    told = {"id": 1, "version": 1, "protocol": "mixed", "port": 1, "username": "a", "password": "b", "allow_ips": []}
    service = Proxy(
        reactor, read_record(told | {"exit": {}, "limits": {}}), lambda client: None, Account(1, QuotaUsage())
    )
    ours, theirs = socket.socketpair()
    with theirs:
        client = Client(reactor, ours, service, "127.0.0.1")
        yield client
        client.drop()
        reactor.sweep()


async def dialled(reactor: Reactor, port: int, *addresses: Address) -> ConnectFailure | str:
    """The failure, or the address that was reached."""
    reactor.resolver.remember("name.test", addresses)
    caller = Caller()
    with client_of(reactor) as client:
        Connector(client, caller, port).start(Destination("name.test", port))
        async with asyncio.timeout(LIMIT_S):
            outcome = await caller.outcome
        if isinstance(outcome, ConnectFailure):
            return outcome
        assert list(reactor.stages) == [outcome.fd]
        reached = outcome.sock.getpeername()[0]
        outcome.drop()
    return reached


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[int]:
    with socket.create_server((host, port), family=V6 if ":" in host else V4) as server:
        yield server.getsockname()[1]


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """Its queue is full, so it answers nobody."""
    family = V6 if ":" in host else V4
    with socket.socket(family) as server, socket.socket(family) as first, socket.socket(family) as second:
        server.bind((host, port))
        server.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


async def test_an_address_that_does_not_answer_gives_way_to_the_next_after_a_quarter_second(reactor: Reactor) -> None:
    with listening("127.0.0.1") as port, deaf("::1", port):
        began = monotonic()
        assert await dialled(reactor, port, (V6, "::1"), (V4, "127.0.0.1")) == "127.0.0.1"
        assert ATTEMPT_S <= monotonic() - began < ATTEMPT_S + 1


async def test_a_refused_address_gives_way_at_once(reactor: Reactor) -> None:
    with listening("127.0.0.1") as port:
        began = monotonic()
        assert await dialled(reactor, port, (V6, "::1"), (V4, "127.0.0.1")) == "127.0.0.1"
        assert monotonic() - began < ATTEMPT_S


async def test_the_first_address_wins_when_both_would_answer(reactor: Reactor) -> None:
    with listening("127.0.0.1") as port, listening("::1", port):
        assert await dialled(reactor, port, (V6, "::1"), (V4, "127.0.0.1")) == "::1"


async def test_each_silent_address_costs_its_quarter_second_and_a_refused_one_nothing(reactor: Reactor) -> None:
    with listening("127.0.0.1") as port, deaf("127.0.0.2", port), deaf("127.0.0.3", port):
        silent, refused, later, last = ((V4, f"127.0.0.{number}") for number in (2, 4, 3, 1))
        began = monotonic()
        assert await dialled(reactor, port, silent, refused, later, last) == "127.0.0.1"
        assert 2 * ATTEMPT_S <= monotonic() - began < 2 * ATTEMPT_S + 1


async def test_a_host_without_one_family_does_not_hide_what_became_of_the_other(reactor: Reactor) -> None:
    with listening("127.0.0.1") as free:
        port = free
    unreachable = (V6, "2001:20::1")
    assert await dialled(reactor, port, (V4, "127.0.0.1"), unreachable) is ConnectFailure.REFUSED
    assert await dialled(reactor, port, unreachable, (V4, "127.0.0.1")) is ConnectFailure.REFUSED


async def test_a_name_without_addresses_and_one_with_private_ones_only_are_told_apart(reactor: Reactor) -> None:
    reactor.may_connect = {"127.0.0.1": True}.get  # type: ignore[assignment]
    assert await dialled(reactor, 1) is ConnectFailure.NAME
    assert await dialled(reactor, 1, (V6, "::1"), (V4, "127.0.0.2")) is ConnectFailure.PRIVATE
    with listening("127.0.0.1") as port:
        assert await dialled(reactor, port, (V4, "127.0.0.2"), (V4, "127.0.0.1")) == "127.0.0.1"


async def test_nothing_is_left_behind_when_the_caller_loses_interest(reactor: Reactor) -> None:
    with listening("127.0.0.1") as port, deaf("127.0.0.2", port), deaf("127.0.0.3", port), client_of(reactor) as client:
        reactor.resolver.remember("name.test", ((V4, "127.0.0.2"), (V4, "127.0.0.3")))
        dial = Connector(client, Caller(), port)
        dial.start(Destination("name.test", port))
        dial.try_next()
        assert len(reactor.stages) == 2
        dial.close()
        assert not reactor.stages


async def test_a_dial_that_is_given_up_leaves_the_queue_for_names(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its client or because its time is up: who comes later must not wait behind it."""
    asked: list[str] = []
    free = threading.Event()

    def look_up(host: str) -> tuple[Address, ...]:
        asked.append(host)
        free.wait(LIMIT_S)
        return ()

    monkeypatch.setattr(resolver, "_look_up", look_up)
    with client_of(reactor) as client:
        dials = [Connector(client, Caller(), 1) for _ in range(20)]
        for number, dial in enumerate(dials):
            dial.start(Destination(f"name-{number}", 1))
        for dial in dials[:19:2]:
            dial.expire()
        for dial in dials[1:19:2]:
            dial.close()
        async with asyncio.timeout(LIMIT_S):
            while "name-19" not in asked:
                await asyncio.sleep(0.005)
        dials[19].close()
        free.set()
    assert not {f"name-{number}" for number in range(8, 19)}.intersection(asked)
