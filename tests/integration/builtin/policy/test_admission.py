"""Clients that have not logged in, or cannot: how many there may be, and how they are turned away."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from node.engine.builtin.policy.descriptor_shares import descriptor_shares
from node.engine.builtin.policy.login_delays import FREE
from node.engine.builtin.worker.handover.connections import pack, unpack
from tests.clients.streams import HERE, LOGIN
from tests.engines.reactor_yard import Yard, over, said, yard

NO_LOGIN = b"GET http://a/ HTTP/1.1\r\n\r\n"
RIGHT = f"GET http://{HERE}:1/ HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
SOCKS_GUESS = b"\5\1\2\1\5alice\5wrong"
THERE = "127.0.0.2"


@pytest.fixture
async def made() -> AsyncIterator[Yard]:
    with yard() as opened:
        yield opened


def guess(number: int = 0) -> bytes:
    token = base64.b64encode(b"alice:%d" % number)
    return b"GET http://a/ HTTP/1.1\r\nProxy-Authorization: Basic %b\r\n\r\n" % token


def bound(made: Yard, **asked: int) -> None:
    made.reactor.set_shares(descriptor_shares(1024, asked))


def failures(made: Yard, count: int, source: str = HERE) -> None:
    """So many on connections of their own, at proxy 1."""
    for _ in range(count):
        made.reactor.login_delays.delay(1, source, made.reactor.now)


async def test_a_connection_is_closed_with_the_last_of_its_failed_logins(made: Yard) -> None:
    bound(made, failed_logins=3)
    client = made.client(made.service(), b"".join(map(guess, range(10))))
    got = said(client)
    assert got.count(b" 407 ") == 3
    assert got.count(b"Connection: close") == 1
    made.until(lambda: over(client))


async def test_a_request_without_a_login_is_no_failed_one(made: Yard) -> None:
    bound(made, failed_logins=2)
    client = made.client(made.service(), NO_LOGIN * 10)
    got = made.hear(client, lambda got: got.count(b" 407 ") == 10)
    assert b"Connection: close" not in got
    assert not made.reactor.login_delays


async def test_a_login_of_another_kind_is_no_failed_one(made: Yard) -> None:
    bound(made, failed_logins=2)
    ntlm = b"GET http://a/ HTTP/1.1\r\nProxy-Authorization: NTLM TlRMTVNTUAABAAAA\r\n\r\n"
    client = made.client(made.service(), ntlm * 5)
    assert made.hear(client, lambda got: got.count(b" 407 ") == 5).count(b"keep-alive") == 5


async def test_who_failed_may_log_in_on_the_same_connection(made: Yard) -> None:
    client = made.client(made.service(), guess() + RIGHT)
    made.hear(client, lambda got: got.count(b"HTTP/1.1 407") == 1 and got.count(b"HTTP/1.1 502") == 1)


async def test_a_source_that_failed_often_waits_for_its_answer_and_the_next_guess_with_it(made: Yard) -> None:
    failures(made, FREE)
    client = made.client(made.service(), guess() + guess(1))
    made.serve(3)
    assert said(client) == b""
    async with asyncio.timeout(5):
        while not said(client).count(b" 407 "):
            await asyncio.sleep(0.01)


async def test_a_right_login_is_served_at_once_whatever_failed_at_its_source(made: Yard) -> None:
    failures(made, 100)
    service = made.service()
    waiting, right = made.client(service, guess()), made.client(service, RIGHT)
    made.hear(right, lambda got: got.startswith(b"HTTP/1.1 502"))
    assert said(waiting) == b""


async def test_other_sources_are_not_slowed_down(made: Yard) -> None:
    failures(made, 100)
    assert b" 407 " in said(made.client(made.service(), guess(), source=THERE))


async def test_a_client_that_goes_while_its_answer_waits_is_forgotten(made: Yard) -> None:
    failures(made, 100)
    service = made.service()
    made.client(service, guess()).close()
    made.until(lambda: not service.open)
    assert not len(made.reactor.unadmitted)


@pytest.mark.parametrize("often", [False, True])
async def test_socks_logins_are_slowed_down_too(made: Yard, often: bool) -> None:
    failures(made, 100 if often else 0)
    client = made.client(made.service(protocol="socks5"), SOCKS_GUESS)
    made.serve(3)
    assert said(client) == (b"\5\2" if often else b"\5\2\1\1")


@pytest.mark.parametrize(("user_id", "late"), [(b"alice:wrong", True), (b"", False)])
async def test_a_user_id_of_socks4_is_a_login(made: Yard, user_id: bytes, late: bool) -> None:
    failures(made, 100)
    client = made.client(made.service(protocol="socks5"), b"\4\1\0\x50\x7f\0\0\1" + user_id + b"\0")
    made.serve(3)
    assert bool(said(client)) != late


async def test_the_oldest_that_has_not_logged_in_goes_for_the_newest(made: Yard) -> None:
    bound(made, unadmitted_connections=6)
    service = made.service()
    clients = [made.arrive(service) for _ in range(5)]
    made.serve()
    assert [over(client) for client in clients] == [True, True, False, False, False]
    assert (made.reactor.unadmitted.of(service), service.account.refused) == (3, {"flood": 2})


async def test_who_has_logged_in_stays_whoever_comes(made: Yard) -> None:
    bound(made, unadmitted_connections=4)
    service = made.service()
    admitted = made.arrive(service)
    admitted.send(RIGHT)
    made.hear(admitted, lambda got: got.startswith(b"HTTP/1.1 502"))
    for _ in range(10):
        made.arrive(service)
    made.serve()
    assert not over(admitted)


async def test_a_flood_of_one_proxy_takes_no_place_of_another(made: Yard) -> None:
    bound(made, unadmitted_connections=8)
    quiet = made.arrive(made.service(2))
    flooded = made.service(1)
    for _ in range(50):
        made.arrive(flooded)
    made.serve()
    assert not over(quiet)


async def test_who_loses_the_right_to_be_here_counts_again(made: Yard) -> None:
    service = made.service()
    client = made.arrive(service)
    client.send(RIGHT)
    made.hear(client, lambda got: got.startswith(b"HTTP/1.1 502"))
    assert made.reactor.unadmitted.of(service) == 0
    client.send(guess())
    made.hear(client, lambda got: b" 407 " in got)
    assert made.reactor.unadmitted.of(service) == 1


async def test_every_kind_of_client_is_counted_until_it_is_gone(made: Yard) -> None:
    services = [made.service(id_, protocol) for id_, protocol in enumerate(("http", "socks5", "mixed"), 1)]
    clients = [made.client(service, data) for service in services for data in (b"", b"\5", guess(), RIGHT)]
    made.serve(3)
    for client in clients:
        with suppress(OSError):
            client.close()
    made.until(lambda: not any(service.open for service in services))
    assert not len(made.reactor.unadmitted)


@pytest.mark.parametrize("data", [b"", RIGHT])
async def test_whoever_moves_to_another_process_counts_there_and_no_more_here(made: Yard, data: bytes) -> None:
    """One that has logged in, and one that has not."""
    old = made.service()
    client = made.client(old, data)
    made.serve(3)
    with yard() as there:
        new = there.service()
        (mine,) = old.open
        packed = pack(mine)
        assert packed is not None
        unpack(new, packed.state, [os.dup(fd) for fd in packed.fds])
        made.reactor.run(packed, packed.close)
        assert (len(made.reactor.unadmitted), made.reactor.sources.open(HERE)) == (0, 0)
        assert (there.reactor.unadmitted.of(new), there.reactor.sources.open(HERE)) == (0 if data else 1, 1)
        client.send(NO_LOGIN)
        there.hear(client, lambda got: b" 407 " in got)
        client.close()
        there.until(lambda: not new.open)
        assert (len(there.reactor.unadmitted), there.reactor.sources.open(HERE)) == (0, 0)
