"""One spelling of a destination's host, by whatever protocol it came."""

import pytest

from node.engine.builtin.protocols import socks4, socks5
from node.engine.builtin.protocols.destinations import Destination, read_absolute, read_authority

SPELLINGS = [
    (b"[2606:4700::1111]", "2606:4700::1111"),
    (b"[2606:4700::ABCD]", "2606:4700::abcd"),
    (b"WWW.Example.COM", "www.example.com"),
    (b"example.com.", "example.com."),
    (b"192.0.2.1", "192.0.2.1"),
    (b"192.0.2.1.", "192.0.2.1"),
]


def in_socks5(host: bytes) -> bytes:
    return b"\3" + bytes([len(host)]) + host + b"\0\x50"


@pytest.mark.parametrize(("said", "meant"), SPELLINGS)
def test_every_protocol_reads_a_host_the_same_way(said: bytes, meant: str) -> None:
    expected = Destination(meant, 80)
    absolute = read_absolute(b"http://" + said + b"/")
    asked4 = socks4.read_request(b"\4\1\0\x50\0\0\0\1user\0" + said + b"\0")
    asked5 = socks5.read_request(b"\5\1\0" + in_socks5(said))
    datagram = socks5.read_datagram(b"\0\0\0" + in_socks5(said) + b"payload")
    assert read_authority(said + b":80") == expected
    assert absolute is not None
    assert absolute.destination == expected
    assert isinstance(asked4, socks4.Socks4Request)
    assert asked4.destination == expected
    assert isinstance(asked5, socks5.SocksRequest)
    assert asked5.destination == expected
    assert datagram is not None
    assert datagram.destination == expected


@pytest.mark.parametrize(
    "said", [b"[fe80::1%eth0]", b"fe80::1%eth0", b"[::1", b"::1]", b"[example.com]", b"[]", b"a b"]
)
def test_a_zone_or_half_a_bracket_is_refused_by_every_protocol(said: bytes) -> None:
    assert read_authority(said + b":80") is None
    assert isinstance(socks4.read_request(b"\4\1\0\x50\0\0\0\1user\0" + said + b"\0"), socks4.SocksRefused)
    assert isinstance(socks5.read_request(b"\5\1\0" + in_socks5(said)), socks5.Malformed)
    assert socks5.read_datagram(b"\0\0\0" + in_socks5(said)) is None
