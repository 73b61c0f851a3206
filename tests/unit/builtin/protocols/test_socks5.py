"""The SOCKS5 handshake, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.protocols import socks5
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.socks5 import Datagram, Greeting, Malformed, SocksLogin, SocksRequest

BY_NAME = b"\5\1\0\3\x0bexample.com\x01\xbb"
BY_IPV4 = b"\5\1\0\1\xc0\0\2\1\0\x50"
BY_IPV6 = b"\5\1\0\4" + bytes.fromhex("20010db8000000000000000000000001") + b"\x1f\x90"


def test_the_offered_methods_are_read() -> None:
    assert socks5.read_greeting(b"\5\2\0\2more") == Greeting(4, b"\0\2")


@pytest.mark.parametrize(
    ("methods", "login_needed", "chosen"),
    [
        (b"\0", False, 0),
        (b"\2\0", False, 0),
        (b"\2", False, 2),
        (b"\0\2", True, 2),
        (b"\0", True, 0xFF),
        (b"", True, 0xFF),
        (b"\1", False, 0xFF),
    ],
)
def test_the_method_follows_from_what_is_asked_and_offered(methods: bytes, login_needed: bool, chosen: int) -> None:
    assert socks5.choose_method(methods, login_needed=login_needed) == chosen


def test_a_login_is_read_with_what_stands_behind_it_left_alone() -> None:
    assert socks5.read_login(b"\1\5alice\6wonder\5\1") == SocksLogin(14, b"alice:wonder")
    assert socks5.read_login(b"\1\0\0") == SocksLogin(3, b":")


@pytest.mark.parametrize(
    ("data", "destination"),
    [
        (BY_NAME, Destination("example.com", 443)),
        (BY_IPV4, Destination("192.0.2.1", 80)),
        (BY_IPV6, Destination("2001:db8::1", 8080)),
        (b"\5\1\0\3\x03::1\0\x50", Destination("::1", 80)),
    ],
)
def test_a_destination_is_read(data: bytes, destination: Destination) -> None:
    assert socks5.read_request(data + b"early") == SocksRequest(len(data), destination)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\5\2\0\1", 0x07),
        (b"\5\0\0\1", 0x07),
        (b"\5\3\0\2", 0x08),
        (b"\5\3\0\3\x04a b\0\0\x50", 0x04),
        (b"\5\1\0\2", 0x08),
        (b"\4\1\0\1", 0x01),
        (b"\5\1\0\1\0\0\0\0\0\0", 0x01),
        (b"\5\1\0\3\x04a b\0\0\x50", 0x04),
        (b"\5\1\0\3\x00\0\x50", 0x04),
    ],
)
def test_what_cannot_be_done_has_its_failure_code(data: bytes, code: int) -> None:
    assert socks5.read_request(data) == Malformed(bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0)))


def test_another_version_is_not_socks5() -> None:
    assert socks5.read_greeting(b"\4\1") == Malformed(b"")
    assert socks5.read_login(b"\5") == Malformed(b"\1\1")


@pytest.mark.parametrize("data", [BY_NAME, BY_IPV4, BY_IPV6])
def test_every_shorter_piece_of_a_request_waits_for_more(data: bytes) -> None:
    assert [socks5.read_request(data[:cut]) for cut in range(len(data))] == [None] * len(data)


def test_every_shorter_piece_of_a_greeting_and_a_login_waits_for_more() -> None:
    assert [socks5.read_greeting(b"\5\2\0\2"[:cut]) for cut in range(4)] == [None] * 4
    assert [socks5.read_login(b"\1\5alice\6wonder"[:cut]) for cut in range(14)] == [None] * 14


@given(st.binary(max_size=600))
def test_no_bytes_are_an_exception_and_nothing_reads_past_their_end(data: bytes) -> None:
    for reader in (socks5.read_greeting, socks5.read_login, socks5.read_request):
        found = reader(data)
        assert found is None or isinstance(found, Malformed) or 0 < found.size <= len(data)


@given(st.binary(min_size=600, max_size=700))
def test_no_message_waits_for_more_than_its_longest_form(data: bytes) -> None:
    assert socks5.read_greeting(data)
    assert socks5.read_login(data)
    assert socks5.read_request(data)


@pytest.mark.parametrize(
    ("data", "destination"),
    [
        (b"\5\3\0\1\0\0\0\0\0\0", Destination("0.0.0.0", 0)),
        (b"\5\3\0\1\xc0\0\2\1\x30\x39", Destination("192.0.2.1", 12345)),
        (b"\5\3\0\4" + bytes(16) + b"\0\0", Destination("::", 0)),
    ],
)
def test_a_request_for_datagrams_tells_where_they_will_come_from(data: bytes, destination: Destination) -> None:
    assert socks5.read_request(data) == SocksRequest(len(data), destination, udp=True)
    assert [socks5.read_request(data[:cut]) for cut in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("request_", [BY_NAME, BY_IPV4, BY_IPV6])
def test_the_head_of_a_datagram_is_read_and_what_it_carries_left_alone(request_: bytes) -> None:
    wanted = socks5.read_request(request_)
    assert isinstance(wanted, SocksRequest)
    datagram = b"\0\0\0" + request_[3:]
    assert socks5.read_datagram(datagram + b"payload") == Datagram(wanted.size, wanted.destination)
    assert socks5.read_datagram(datagram) == Datagram(wanted.size, wanted.destination)
    assert [socks5.read_datagram(datagram[:cut]) for cut in range(len(datagram))] == [None] * len(datagram)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\1\1\xc0\0\2\1\0\x35",
        b"\0\0\x80\1\xc0\0\2\1\0\x35",
        b"\0\1\0\1\xc0\0\2\1\0\x35",
        b"\0\0\0\2\xc0\0\2\1\0\x35",
        b"\0\0\0\1\xc0\0\2\1\0\0",
        b"\0\0\0\3\3a b\0\x35",
        b"\0\0\0\3\0\0\x35",
    ],
)
def test_fragments_and_datagrams_to_nowhere_are_dropped(head: bytes) -> None:
    assert socks5.read_datagram(head + b"payload") is None


@given(st.binary(max_size=400))
def test_no_datagram_is_an_exception_and_none_is_read_past_its_end(data: bytes) -> None:
    for datagram in (data, b"\0\0\0" + data):
        found = socks5.read_datagram(datagram)
        assert found is None or 8 <= found.size <= min(len(datagram), socks5.LONGEST_DATAGRAM_HEAD)


def test_an_answer_says_where_it_comes_from() -> None:
    assert socks5.datagram_head("192.0.2.1", 53) == b"\0\0\0\1\xc0\0\2\1\0\x35"
    assert socks5.datagram_head("2001:db8::1", 53) == b"\0\0\0\4" + BY_IPV6[4:20] + b"\0\x35"
    assert len(socks5.datagram_head("2001:db8::1", 53)) == socks5.LONGEST_REPLY_HEAD
    assert socks5.reply(0, "192.0.2.1", 53) == b"\5\0\0\1\xc0\0\2\1\0\x35"
