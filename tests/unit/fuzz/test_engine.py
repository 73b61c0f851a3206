"""Hostile bytes for the engine's parsers, cut at every place; what is forwarded is read by an independent reader.

Long because each parser has its own strategy of hostile input beside its test.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import pytest

from node.engine.builtin.protocols import socks4, socks5
from node.engine.builtin.protocols.http_body import MessageBody, body_of
from node.engine.builtin.protocols.http_fields import MAX_HEAD, MEMORABLE, Refusal
from node.engine.builtin.protocols.http_request import Request, head_size, read_request
from node.engine.builtin.protocols.http_response import Response, read_response
from node.engine.builtin.protocols.http_route import route, routed_request, whole_request
from node.engine.builtin.protocols.socks5 import Malformed
from tests.fuzz.fragments import TRAP
from tests.fuzz.hostile_bytes import Malice

BYTES, MANY_BYTES = 60_000, 10_000_000
SEEDS = (1, 2)
LONG_SEEDS = (3, 5, 6, 7)
"""Each has its share of the many bytes, so that they can be run side by side."""
SHARE = MANY_BYTES // len(LONG_SEEDS)
VIA = b"here"
REFUSED = "refused"
WAITING = "waiting"
CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:.*")


@dataclass
class Reader:
    """A client's connection as far as parsing goes: what came is taken apart into requests, each read to its end."""

    inbox: bytearray = field(default_factory=bytearray)
    seen: int = 0
    body: MessageBody | None = None
    passed: list[bytes] = field(default_factory=list[bytes])
    state: str = WAITING

    def feed(self, data: bytes) -> None:
        self.inbox += data
        while self.state == WAITING and (self.read_body() if self.body else self.read_head()):
            pass

    def read_head(self) -> bool:
        while self.inbox.startswith(b"\r\n"):
            del self.inbox[:2]
        size = head_size(self.inbox, self.seen)
        self.seen = 0 if size else len(self.inbox)
        if not size:
            return False
        request = size if isinstance(size, Refusal) else read_request(bytes(self.inbox[:size]))
        way = route(request) if isinstance(request, Request) else request
        if isinstance(way, Refusal) or isinstance(request, Refusal) or isinstance(size, Refusal):
            self.state = REFUSED
            return False
        del self.inbox[:size]
        self.state = WAITING if way.head else "tunnel"
        self.passed.append(way.head)
        self.body = body_of(request.body)
        return True

    def read_body(self) -> bool:
        assert self.body is not None
        used = self.body.feed(self.inbox, 0, len(self.inbox))
        if self.body.broken:
            self.state = "broken"
            return False
        self.passed[-1] += self.inbox[:used] if self.body.out is None else self.body.out
        del self.inbox[:used]
        ended = self.body.done
        self.body = None if ended else self.body
        return ended


def judged(*pieces: bytes) -> tuple[str, list[bytes]]:
    """What becomes of a connection that brings these pieces: its state, and the requests that go on whole."""
    reader = Reader()
    for piece in pieces:
        reader.feed(piece)
    return reader.state, reader.passed if reader.body is None else reader.passed[:-1]


def in_two(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(data[:cut], data[cut:]) for cut in range(1, len(data))]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("seed", SEEDS)
def test_hostile_requests_are_judged_alike_wherever_they_are_cut(seed: int) -> None:
    cut_everywhere(seed, BYTES)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_ten_million_bytes_of_hostile_requests_are_judged_alike_wherever_they_are_cut(seed: int) -> None:
    cut_everywhere(seed, SHARE)


def cut_everywhere(seed: int, total: int) -> None:
    for data in Malice(seed).clients(total):
        assert_judged_alike(data, seed)


def assert_judged_alike(data: bytes, seed: int) -> None:
    whole = judged(data)
    for pieces in [*in_two(data), byte_by_byte(data)]:
        assert judged(*pieces) == whole, (seed, data, [len(piece) for piece in pieces])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_ordered_at_once_is_one_whole_head_and_means_the_same_by_the_long_way(seed: int) -> None:
    orders = [(data, order) for data in Malice(seed).clients(BYTES) if (order := whole_request(data, VIA)) is not None]
    assert orders
    for data, order in orders:
        assert head_size(data, 0) == len(data) <= MEMORABLE
        assert order == routed_request(data, VIA)
        assert not order.request.has_body


@pytest.mark.parametrize("seed", SEEDS)
def test_what_goes_on_to_an_origin_is_one_request_for_another_reader_too(seed: int) -> None:
    read_by_another(seed, BYTES)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_of_ten_million_hostile_bytes_each_request_that_goes_on_is_one_for_another_reader_too(seed: int) -> None:
    read_by_another(seed, SHARE)


def read_by_another(seed: int, total: int) -> None:
    """At least some requests must get through, or nothing was tried."""
    count = 0
    for data in Malice(seed).clients(total):
        for sent in judged(data)[1]:
            count += bool(sent)
            assert_one_request(sent, (seed, data))
    assert count > total / 2000


def assert_one_request(sent: bytes, told: object) -> None:
    """A reader that is stricter with bytes past ASCII in a target, and with control characters in values, is given
    letters in their place."""
    head, _, rest = sent.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    line = bytes(byte if byte < 0x80 else 0x78 for byte in line)
    origin = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    origin.receive_data(line + b"\r\n" + CONTROL.sub(b"x", fields) + b"\r\n\r\n" + rest)
    request = origin.next_event()
    assert isinstance(request, h11.Request), told
    assert dict(request.headers)[b"host"] != TRAP, told
    assert ended_by(origin), told
    assert origin.trailing_data == (b"", False), told


def ended_by(connection: h11.Connection) -> bool:
    while isinstance(event := connection.next_event(), h11.Data):
        pass
    return isinstance(event, h11.EndOfMessage)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_goes_on_to_a_client_is_one_response_for_another_reader_too(seed: int) -> None:
    answered_by_another(seed, BYTES)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_of_ten_million_hostile_bytes_each_response_that_goes_on_is_one_for_another_reader_too(seed: int) -> None:
    answered_by_another(seed, SHARE)


def answered_by_another(seed: int, total: int) -> None:
    malice, count = Malice(seed), 0
    while total > 0:
        data, method = malice.origin(), malice.dice.choice([b"GET", b"HEAD", b"POST"])
        total -= len(data) + 1
        whole = answers(data, method=method)
        for pieces in [*in_two(data), byte_by_byte(data)]:
            assert answers(*pieces, method=method) == whole, (seed, data, method)
        count += assert_one_response(data, method, (seed, data, method))
    assert count


@dataclass
class Listener:
    """An origin's connection as far as parsing goes, up to the end of one response."""

    method: bytes
    inbox: bytearray = field(default_factory=bytearray)
    seen: int = 0
    body: MessageBody | None = None
    response: Response | None = None
    heads: bytes = b""
    content: bytes = b""
    refused: bool = False

    def feed(self, data: bytes) -> None:
        self.inbox += data
        while self.response is None and not self.refused and self.read_head():
            pass
        if self.body is not None and not self.body.done and not self.body.broken:
            used = self.body.feed(self.inbox, 0, len(self.inbox))
            self.content += b"" if self.body.broken else (self.inbox[:used] if self.body.out is None else self.body.out)
            del self.inbox[:used]

    def read_head(self) -> bool:
        response = read_response(self.inbox, self.seen, self.method, VIA)
        self.seen = len(self.inbox)
        if response is None:
            return False
        self.refused = isinstance(response, Refusal)
        if isinstance(response, Refusal):
            return False
        del self.inbox[: response.size]
        self.seen = 0
        self.heads += response.head
        if response.interim:
            self.heads += b"\r\n"
            return True
        self.response = response
        self.heads += b"Connection: close\r\n\r\n" if response.status != 101 else b"\r\n"
        self.body = body_of(response.body, lenient=True)
        return False


def answers(*pieces: bytes, method: bytes) -> tuple[bool, bytes, bool, bool]:
    """Whether it is refused or broken; what the client gets up to there; whether it is over."""
    listener = Listener(method)
    for piece in pieces:
        listener.feed(piece)
    broken = listener.body is not None and listener.body.broken
    # How much of a body went on before the part that broke it depends on how it came.
    passed = (
        b"" if broken or (listener.body is not None and not listener.body.done) else listener.heads + listener.content
    )
    return listener.refused, passed, listener.body is not None and listener.body.done, broken


def assert_one_response(data: bytes, method: bytes, told: object) -> bool:
    """Whether there was a whole one. Other codings are refused by the other reader."""
    listener = Listener(method)
    listener.feed(data)
    response, body = listener.response, listener.body
    if response is None or body is None or not body.done or response.status == 101:
        return False
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(tidied(listener.heads) + listener.content)
    try:
        while isinstance(client.next_event(), h11.InformationalResponse):
            pass
        assert ended_by(client), told
    except h11.RemoteProtocolError:
        assert b"\r\nTransfer-Encoding:" in response.head, told
        assert not response.head.endswith(b"\r\nTransfer-Encoding: chunked\r\n"), told
        return False
    assert client.trailing_data == (b"", False), told
    return True


def tidied(heads: bytes) -> bytes:
    """For a reader that is stricter: without fields of odd names, and letters in place of control characters."""
    rows = CONTROL.sub(b"x", heads).split(b"\r\n")
    return b"\r\n".join(row for row in rows if not row or row.startswith(b"HTTP/1.1 ") or FIELD.fullmatch(row))


READERS: list[Callable[[bytes], object]] = [
    socks4.read_request,
    socks5.read_greeting,
    socks5.read_login,
    socks5.read_request,
    socks5.read_datagram,
]


@pytest.mark.parametrize("read", READERS)
def test_a_socks_message_is_judged_alike_however_much_of_it_is_there(read: Callable[[bytes], object]) -> None:
    socks_judged(read, 4, BYTES)


@pytest.mark.long
@pytest.mark.parametrize("read", READERS)
def test_ten_million_bytes_of_socks_are_judged_alike_however_much_is_there(read: Callable[[bytes], object]) -> None:
    socks_judged(read, 5, MANY_BYTES)


def socks_judged(read: Callable[[bytes], object], seed: int, total: int) -> None:
    """Once there is a judgement, more bytes do not change it; and none takes more than there is."""
    malice = Malice(seed)
    while total > 0:
        kinds = {socks4.read_request: malice.socks4, socks5.read_datagram: malice.datagram}
        data = malice.damaged(kinds.get(read, malice.socks5)())
        data = data[malice.dice.choice((0, 0, 3, 17)) :]
        total -= len(data) + 1
        judgements = [judgement for cut in range(len(data) + 1) if (judgement := read(data[:cut])) is not None]
        assert all(judgement == judgements[0] for judgement in judgements), (seed, data)
        assert all(
            isinstance(found, Malformed | socks4.SocksRefused) or 0 < sized(found) <= len(data) for found in judgements
        ), (seed, data)


def sized(found: object) -> int:
    assert isinstance(
        found, socks4.Socks4Request | socks5.Greeting | socks5.SocksLogin | socks5.SocksRequest | socks5.Datagram
    )
    return found.size


def test_heads_at_the_limit_are_judged_alike_wherever_they_are_cut() -> None:
    for length in (MAX_HEAD - 1, MAX_HEAD, MAX_HEAD + 1):
        head = b"GET http://h/ HTTP/1.1\r\nX: "
        data = head + b"x" * (length - len(head) - 4) + b"\r\n\r\n"
        whole = judged(data)
        assert (whole[0] == REFUSED) == (length > MAX_HEAD)
        for cut in (1, len(head), MAX_HEAD - 3, MAX_HEAD - 2, MAX_HEAD - 1, length - 1):
            assert judged(data[:cut], data[cut:]) == whole
