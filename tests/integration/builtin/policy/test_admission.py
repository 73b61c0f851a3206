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
from tests.engines.manual_reactor import ManualReactor, is_closed, manual_reactor, received

NO_LOGIN = b"GET http://a/ HTTP/1.1\r\n\r\n"
RIGHT = f"GET http://{HERE}:1/ HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
SOCKS_GUESS = b"\5\1\2\1\5alice\5wrong"
THERE = "127.0.0.2"


@pytest.fixture
async def made() -> AsyncIterator[ManualReactor]:
    with manual_reactor() as opened:
        yield opened


def guess(number: int = 0) -> bytes:
    token = base64.b64encode(b"alice:%d" % number)
    return b"GET http://a/ HTTP/1.1\r\nProxy-Authorization: Basic %b\r\n\r\n" % token


def bound(made: ManualReactor, **asked: int) -> None:
    made.reactor.set_shares(descriptor_shares(1024, asked))


def failures(made: ManualReactor, count: int, source: str = HERE) -> None:
    """So many on connections of their own, at proxy 1."""
    for _ in range(count):
        made.reactor.login_delays.delay(1, source, made.reactor.now)


async def test_a_connection_is_closed_with_the_last_of_its_failed_logins(made: ManualReactor) -> None:
    bound(made, failed_logins=3)
    client = made.client(made.proxy(), b"".join(map(guess, range(10))))
    got = received(client)
    assert got.count(b" 407 ") == 3
    assert got.count(b"Connection: close") == 1
    made.until(lambda: is_closed(client))


async def test_a_request_without_a_login_is_no_failed_one(made: ManualReactor) -> None:
    bound(made, failed_logins=2)
    client = made.client(made.proxy(), NO_LOGIN * 10)
    got = made.receive_until(client, lambda got: got.count(b" 407 ") == 10)
    assert b"Connection: close" not in got
    assert not made.reactor.login_delays


async def test_a_login_of_another_kind_is_no_failed_one(made: ManualReactor) -> None:
    bound(made, failed_logins=2)
    ntlm = b"GET http://a/ HTTP/1.1\r\nProxy-Authorization: NTLM TlRMTVNTUAABAAAA\r\n\r\n"
    client = made.client(made.proxy(), ntlm * 5)
    assert made.receive_until(client, lambda got: got.count(b" 407 ") == 5).count(b"keep-alive") == 5


async def test_who_failed_may_log_in_on_the_same_connection(made: ManualReactor) -> None:
    client = made.client(made.proxy(), guess() + RIGHT)
    made.receive_until(client, lambda got: got.count(b"HTTP/1.1 407") == 1 and got.count(b"HTTP/1.1 502") == 1)


async def test_a_source_that_failed_often_waits_for_its_answer_and_the_next_guess_with_it(made: ManualReactor) -> None:
    failures(made, FREE)
    client = made.client(made.proxy(), guess() + guess(1))
    made.serve(3)
    assert received(client) == b""
    async with asyncio.timeout(5):
        while not received(client).count(b" 407 "):
            await asyncio.sleep(0.01)


async def test_a_right_login_is_served_at_once_whatever_failed_at_its_source(made: ManualReactor) -> None:
    failures(made, 100)
    proxy = made.proxy()
    waiting, right = made.client(proxy, guess()), made.client(proxy, RIGHT)
    made.receive_until(right, lambda got: got.startswith(b"HTTP/1.1 502"))
    assert received(waiting) == b""


async def test_other_sources_are_not_slowed_down(made: ManualReactor) -> None:
    failures(made, 100)
    assert b" 407 " in received(made.client(made.proxy(), guess(), source=THERE))


async def test_a_client_that_goes_while_its_answer_waits_is_forgotten(made: ManualReactor) -> None:
    failures(made, 100)
    proxy = made.proxy()
    made.client(proxy, guess()).close()
    made.until(lambda: not proxy.open)
    assert not len(made.reactor.unadmitted)


@pytest.mark.parametrize("often", [False, True])
async def test_socks_logins_are_slowed_down_too(made: ManualReactor, often: bool) -> None:
    failures(made, 100 if often else 0)
    client = made.client(made.proxy(protocol="socks5"), SOCKS_GUESS)
    made.serve(3)
    assert received(client) == (b"\5\2" if often else b"\5\2\1\1")


@pytest.mark.parametrize(("user_id", "late"), [(b"alice:wrong", True), (b"", False)])
async def test_a_user_id_of_socks4_is_a_login(made: ManualReactor, user_id: bytes, late: bool) -> None:
    failures(made, 100)
    client = made.client(made.proxy(protocol="socks5"), b"\4\1\0\x50\x7f\0\0\1" + user_id + b"\0")
    made.serve(3)
    assert bool(received(client)) != late


async def test_the_oldest_that_has_not_logged_in_goes_for_the_newest(made: ManualReactor) -> None:
    bound(made, unadmitted_connections=6)
    proxy = made.proxy()
    clients = [made.accept(proxy) for _ in range(5)]
    made.serve()
    assert [is_closed(client) for client in clients] == [True, True, False, False, False]
    assert (made.reactor.unadmitted.of(proxy), proxy.account.refused) == (3, {"flood": 2})


async def test_who_has_logged_in_stays_whoever_comes(made: ManualReactor) -> None:
    bound(made, unadmitted_connections=4)
    proxy = made.proxy()
    admitted = made.accept(proxy)
    admitted.send(RIGHT)
    made.receive_until(admitted, lambda got: got.startswith(b"HTTP/1.1 502"))
    for _ in range(10):
        made.accept(proxy)
    made.serve()
    assert not is_closed(admitted)


async def test_a_flood_of_one_proxy_takes_no_place_of_another(made: ManualReactor) -> None:
    bound(made, unadmitted_connections=8)
    quiet = made.accept(made.proxy(2))
    flooded = made.proxy(1)
    for _ in range(50):
        made.accept(flooded)
    made.serve()
    assert not is_closed(quiet)


async def test_who_loses_the_right_to_be_here_counts_again(made: ManualReactor) -> None:
    proxy = made.proxy()
    client = made.accept(proxy)
    client.send(RIGHT)
    made.receive_until(client, lambda got: got.startswith(b"HTTP/1.1 502"))
    assert made.reactor.unadmitted.of(proxy) == 0
    client.send(guess())
    made.receive_until(client, lambda got: b" 407 " in got)
    assert made.reactor.unadmitted.of(proxy) == 1


async def test_every_kind_of_client_is_counted_until_it_is_gone(made: ManualReactor) -> None:
    proxies = [made.proxy(id_, protocol) for id_, protocol in enumerate(("http", "socks5", "mixed"), 1)]
    clients = [made.client(proxy, data) for proxy in proxies for data in (b"", b"\5", guess(), RIGHT)]
    made.serve(3)
    for client in clients:
        with suppress(OSError):
            client.close()
    made.until(lambda: not any(proxy.open for proxy in proxies))
    assert not len(made.reactor.unadmitted)


@pytest.mark.parametrize("data", [b"", RIGHT])
async def test_whoever_moves_to_another_process_counts_there_and_no_more_here(made: ManualReactor, data: bytes) -> None:
    """One that has logged in, and one that has not."""
    old = made.proxy()
    client = made.client(old, data)
    made.serve(3)
    with manual_reactor() as there:
        new = there.proxy()
        (mine,) = old.open
        packed = pack(mine)
        assert packed is not None
        unpack(new, packed.state, [os.dup(fd) for fd in packed.fds])
        made.reactor.run(packed, packed.close)
        assert (len(made.reactor.unadmitted), made.reactor.sources.open(HERE)) == (0, 0)
        assert (there.reactor.unadmitted.of(new), there.reactor.sources.open(HERE)) == (0 if data else 1, 1)
        client.send(NO_LOGIN)
        there.receive_until(client, lambda got: b" 407 " in got)
        client.close()
        there.until(lambda: not new.open)
        assert (len(there.reactor.unadmitted), there.reactor.sources.open(HERE)) == (0, 0)
