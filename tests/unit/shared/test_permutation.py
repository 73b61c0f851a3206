"""Random exit addresses: all different, all attributable, for every size of prefix."""

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.permutation import DecodedAddress, Permutation

KEY = bytes(range(16))
LARGE = Permutation("2001:db8:1:2::/64", KEY)
keys = st.binary(min_size=16, max_size=16)
prefixes = st.builds(
    lambda bits, number: str(IPv6Network((number >> bits << bits, 128 - bits))),
    st.integers(16, 96),
    st.integers(0, 2**128 - 1),
)


def test_100000_connections_use_100000_addresses_and_each_decodes_to_its_proxy() -> None:
    addresses = {LARGE.address(number % 97, number): number for number in range(100_000)}
    assert len(addresses) == 100_000
    assert all(LARGE.drawn(each) == DecodedAddress(number % 97, number) for each, number in addresses.items())


def test_the_addresses_of_a_key_stay_what_they_are() -> None:
    """Other releases must go on decoding what this one drew."""
    drawn = [LARGE.address(1, 0), LARGE.address(1, 1), Permutation("2001:db8::/77", KEY).address(5, 6)]
    assert [str(IPv6Address(each)) for each in drawn] == [
        "2001:db8:1:2:cd2d:a93:8a4:6a53",
        "2001:db8:1:2:4a22:8a16:8607:e625",
        "2001:db8::4:16c3:a851:9061",
    ]


@given(prefixes, keys, st.integers(1, 2**63 - 1), st.integers(0, 2**40))
def test_every_address_is_in_its_prefix_and_decodes(prefix: str, key: bytes, proxy: int, counter: int) -> None:
    permutation = Permutation(prefix, key)
    address = permutation.address(proxy, counter)
    assert IPv6Address(address) in IPv6Network(prefix)
    known = DecodedAddress(proxy % 2**permutation.proxy_bits, counter % 2**permutation.counter_bits)
    assert permutation.drawn(address) == known


@pytest.mark.parametrize("length", [112, 111])
def test_it_is_a_permutation_of_the_whole_prefix(length: int) -> None:
    permutation = Permutation(f"2001:db8::/{length}", KEY)
    proxies, counters = range(2**permutation.proxy_bits), range(2**permutation.counter_bits)
    addresses = {permutation.address(proxy, counter) for proxy in proxies for counter in counters}
    assert len(addresses) == 2 ** (128 - length)


@pytest.mark.parametrize(
    ("length", "proxy_bits", "counter_bits"),
    [(32, 28, 36), (48, 28, 36), (64, 28, 36), (65, 27, 36), (80, 21, 27), (96, 14, 18), (112, 7, 9)],
)
def test_proxy_and_counter_get_their_bits_by_the_size_of_the_prefix(
    length: int, proxy_bits: int, counter_bits: int
) -> None:
    permutation = Permutation(f"2001:db8::/{length}", KEY)
    assert (permutation.proxy_bits, permutation.counter_bits) == (proxy_bits, counter_bits)


def test_neighbours_share_nothing_and_neither_do_keys_or_prefixes() -> None:
    others = [
        LARGE.address(1, 1),
        LARGE.address(2, 0),
        Permutation("2001:db8:1:2::/64", bytes(16)).address(1, 0),
        Permutation("2001:db8:1:3::/64", KEY).address(1, 0),
    ]
    first = LARGE.address(1, 0)
    assert all((first ^ other).bit_count() > 12 for other in others)


def test_an_address_of_a_large_prefix_that_was_never_drawn_is_known_as_such() -> None:
    large = Permutation("2001:db8:1::/48", KEY)
    assert [large.drawn(int(IPv6Address("2001:db8:1::")) + number) for number in range(50)] == [None] * 50


@pytest.mark.parametrize("address", ["2001:db8:1:3::1", "::1", "2002:db8:1:2::1"])
def test_an_address_outside_the_prefix_decodes_to_nothing(address: str) -> None:
    assert LARGE.drawn(int(IPv6Address(address))) is None


@pytest.mark.parametrize("prefix", ["2001:db8::/31", "2001:db8::/113", "2001:db8::1/64", "192.0.2.0/24", "nowhere"])
def test_a_prefix_that_cannot_be_drawn_from_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Permutation(prefix, KEY)
