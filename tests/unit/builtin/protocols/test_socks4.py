"""SOCKS4 and 4a requests, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.protocols import socks4
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.socks4 import Socks4Request, SocksRefused

REFUSED = SocksRefused(b"\0\x5b\0\0\0\0\0\0")
BY_ADDRESS = b"\4\1\0\x50\xc0\0\2\1alice:wonder\0"
BY_NAME = b"\4\1\1\xbb\0\0\0\1alice:wonder\0example.com\0"
NOBODY = b"\4\1\0\x50\xc0\0\2\1\0"


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (BY_ADDRESS, Socks4Request(len(BY_ADDRESS), Destination("192.0.2.1", 80), b"alice:wonder")),
        (BY_NAME, Socks4Request(len(BY_NAME), Destination("example.com", 443), b"alice:wonder")),
        (NOBODY, Socks4Request(len(NOBODY), Destination("192.0.2.1", 80), None)),
        (b"\4\1\0\x50\0\0\0\xff\x00::1\0", Socks4Request(13, Destination("::1", 80), None)),
    ],
)
def test_a_request_is_read_and_what_stands_behind_it_left_alone(data: bytes, asked: Socks4Request) -> None:
    assert socks4.read_request(data) == asked
    assert socks4.read_request(data + b"early\0") == asked


@pytest.mark.parametrize(
    "data",
    [
        b"\5",
        b"\4\2\0\x50\xc0\0\2\1\0",
        b"\4\1\0\0\xc0\0\2\1\0",
        b"\4\1\0\x50\0\0\0\0\0",
        b"\4\1\0\x50\0\0\0\1\0\0",
        b"\4\1\0\x50\0\0\0\1\0a b\0",
        b"\4\1\0\x50\xc0\0\2\1" + b"u" * 401,
        b"\4\1\0\x50\0\0\0\1\0" + b"n" * 256,
    ],
)
def test_what_cannot_be_done_is_rejected(data: bytes) -> None:
    assert socks4.read_request(data) == REFUSED


@pytest.mark.parametrize("data", [BY_ADDRESS, BY_NAME, NOBODY])
def test_every_shorter_piece_waits_for_more(data: bytes) -> None:
    assert [socks4.read_request(data[:cut]) for cut in range(len(data))] == [None] * len(data)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_an_exception_and_nothing_reads_past_their_end(data: bytes, begun: bool) -> None:
    whole = b"\4\1\0\x50\0\0\0\1" + data if begun else data
    found = socks4.read_request(whole)
    assert found is None or isinstance(found, SocksRefused) or 0 < found.size <= len(whole)


@given(st.binary(min_size=700, max_size=800))
def test_no_request_waits_for_more_than_its_longest_form(data: bytes) -> None:
    assert socks4.read_request(b"\4\1" + data)
