"""What one connection may do before others have their turn, counted round by round of a real reactor."""

import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from node.engine.builtin.net import fair_queue, reactor
from node.engine.builtin.net.reactor import CLOSED_AT_ONCE, EXPIRED_AT_ONCE
from node.engine.builtin.net.timeouts import HANDSHAKE_S
from node.engine.builtin.protocols.http_body import MAX_CHUNKS
from node.engine.builtin.sessions.http_session import REQUESTS
from tests.clients.streams import HERE, LOGIN
from tests.engines.manual_reactor import ManualReactor, is_closed, manual_reactor, received

NO_LOGIN = b"GET http://a/ HTTP/1.1\r\n\r\n"
PIPELINE = 20 * REQUESTS


@pytest.fixture
async def made() -> AsyncIterator[ManualReactor]:
    with manual_reactor() as opened:
        yield opened


@pytest.fixture
def one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice is one piece of work."""
    monkeypatch.setattr(fair_queue, "SLICE_S", 0.0)


def listening() -> socket.socket:
    listener = socket.create_server((HERE, 0))
    listener.setblocking(False)
    return listener


def accepted(made: ManualReactor, listener: socket.socket) -> socket.socket:
    """The origin's end of a connection that a proxy makes."""
    found: list[socket.socket] = []

    def come() -> bool:
        with suppress(BlockingIOError):
            found.append(listener.accept()[0])
        return bool(found)

    made.until(come)
    found[0].setblocking(False)
    made.far.append(found[0])
    return found[0]


async def test_a_pipeline_is_answered_in_bounded_parts_and_in_the_end_as_a_whole(
    made: ManualReactor, one_piece: None
) -> None:
    client = made.client(made.proxy(), NO_LOGIN * PIPELINE)
    assert received(client).count(b" 407 ") == REQUESTS
    made.serve()
    assert received(client).count(b" 407 ") == REQUESTS
    made.receive_until(client, lambda got: got.count(b" 407 ") == PIPELINE - 2 * REQUESTS)


async def test_a_large_head_counts_as_several_requests(made: ManualReactor, one_piece: None) -> None:
    large = NO_LOGIN[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n"
    client = made.client(made.proxy(), large * 6)
    assert received(client).count(b" 407 ") < 6
    made.receive_until(client, lambda got: b" 407 " in got)


async def test_who_comes_new_is_served_before_a_pipeline_of_another_proxy_goes_on(
    made: ManualReactor, one_piece: None
) -> None:
    busy = made.client(made.proxy(1), NO_LOGIN * PIPELINE)
    quick = made.client(made.proxy(2))
    received(busy)
    quick.send(NO_LOGIN)
    made.serve()
    assert received(quick).count(b" 407 ") == 1
    assert received(busy).count(b" 407 ") <= REQUESTS


async def test_an_abused_proxy_gets_one_turn_while_each_other_gets_one(made: ManualReactor, one_piece: None) -> None:
    abused = made.proxy(1)
    clients = [made.client(abused, NO_LOGIN * PIPELINE) for _ in range(8)]
    other = made.client(made.proxy(2), NO_LOGIN * PIPELINE)
    for each in (*clients, other):
        received(each)
    made.serve(8)
    theirs, others = sum(received(each).count(b" 407 ") for each in clients), received(other).count(b" 407 ")
    assert (theirs, others) == (4 * REQUESTS, 4 * REQUESTS)


async def test_what_a_client_sent_that_has_gone_is_dropped(made: ManualReactor, one_piece: None) -> None:
    proxy = made.proxy()
    client = made.client(proxy, NO_LOGIN * PIPELINE)
    refused = proxy.account.refused["login"]
    client.close()
    made.serve(PIPELINE)
    assert not proxy.open
    assert proxy.account.refused["login"] <= refused + REQUESTS


async def test_empty_lines_before_a_request_cost_one_step_however_many_they_are(made: ManualReactor) -> None:
    client = made.client(made.proxy(), b"\r\n" * 30_000 + NO_LOGIN)
    assert received(client).count(b" 407 ") == 1


async def test_a_request_in_tiny_chunks_goes_on_in_bounded_parts_and_arrives_whole(
    made: ManualReactor, one_piece: None
) -> None:
    body = (b"10\r\n" + bytes(16) + b"\r\n") * 5 * MAX_CHUNKS + b"0\r\n\r\n"
    with listening() as listener:
        head = f"POST http://{HERE}:{listener.getsockname()[1]}/ HTTP/1.1\r\n{LOGIN}\r\n"
        client = made.client(made.proxy(), head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        origin = accepted(made, listener)
        got = made.receive_until(origin, bool)
        assert len(got) < len(body) // 2
        assert (got + made.receive_until(origin, lambda got: got.endswith(b"0\r\n\r\n"))).endswith(body)
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        made.receive_until(client, lambda got: got.endswith(b"ok"))


async def test_a_response_in_tiny_chunks_goes_on_in_bounded_parts_and_arrives_whole(
    made: ManualReactor, one_piece: None
) -> None:
    body = (b"10\r\n" + bytes(16) + b"\r\n") * 5 * MAX_CHUNKS + b"0\r\n\r\n"
    with listening() as listener:
        request = f"GET http://{HERE}:{listener.getsockname()[1]}/ HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
        client = made.client(made.proxy(), request)
        origin = accepted(made, listener)
        for _ in range(2):
            made.receive_until(origin, bool)
            origin.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            got = made.receive_until(client, bool)
            assert len(got) < len(body) // 2
            assert (got + made.receive_until(client, lambda got: got.endswith(b"0\r\n\r\n"))).endswith(body)
            client.send(request)


async def test_interim_responses_without_end_are_given_up(made: ManualReactor) -> None:
    with listening() as listener:
        request = f"GET http://{HERE}:{listener.getsockname()[1]}/ HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode()
        client = made.client(made.proxy(), request)
        origin = accepted(made, listener)
        made.receive_until(origin, bool)
        origin.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
        got = made.receive_until(client, lambda got: b" 502 " in got)
        assert got.count(b" 102 ") <= 32


async def test_a_batch_that_takes_long_is_left_over_for_turns(
    made: ManualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor, "BATCH_S", 0.0)
    monkeypatch.setattr(fair_queue, "SLICE_S", 0.0)
    proxy = made.proxy()
    clients = [made.client(proxy) for _ in range(40)]
    for client in clients:
        client.send(NO_LOGIN)
    made.serve()
    assert not any(received(client) for client in clients)
    assert len(made.reactor.fair_queue.queues[proxy]) == len(clients)
    made.serve(len(clients))
    assert all(received(client) for client in clients)


async def test_thousands_of_time_outs_that_are_due_at_once_are_served_in_parts(made: ManualReactor) -> None:
    proxy = made.proxy()
    for _ in range(3 * EXPIRED_AT_ONCE):
        made.client(proxy)
    due = made.reactor.handshakes.expire(made.reactor.now + 2 * HANDSHAKE_S, EXPIRED_AT_ONCE)
    assert due
    assert len(proxy.open) == 2 * EXPIRED_AT_ONCE


async def test_descriptors_are_closed_in_parts(made: ManualReactor) -> None:
    proxy = made.proxy()
    clients = [made.client(proxy) for _ in range(2 * CLOSED_AT_ONCE)]
    for client in list(proxy.open):
        client.drop()
    made.serve()
    assert sum(is_closed(client) for client in clients) == CLOSED_AT_ONCE
    made.serve()
    assert all(is_closed(client) for client in clients)
