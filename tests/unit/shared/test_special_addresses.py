"""Which addresses are public: after IANA's registries, in every spelling."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.special_addresses import CLOSED, PUBLIC, forms, is_public, kind_of, kinds

NOT_GLOBAL = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 192.0.0.8/32"
    " 192.0.0.170/31 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24"
    " 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32"
    " ::1/128 ::/128 ::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001:2::/48 2001:10::/28"
    " 2001:db8::/32 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 200::/7 400::/6 4000::/3 6000::/3"
    " 8000::/3 a000::/3 c000::/3 e000::/4"
).split()
"""Every entry of the two registries that is not globally reachable, and address space that nobody has been given."""

GLOBAL = (
    "192.0.0.9/32 192.0.0.10/32 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 1.0.0.0/8 8.0.0.0/8 9.0.0.0/8"
    " 11.0.0.0/8 100.0.0.0/10 100.128.0.0/9 126.0.0.0/8 128.0.0.0/8 172.32.0.0/11 191.0.0.0/8 192.0.1.0/24"
    " 192.0.3.0/24 198.20.0.0/14 203.0.112.0/24 223.0.0.0/8"
    " 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:3::/32 2001:4:112::/48 2001:20::/28 2001:30::/28 2001:200::/23"
    " 2001:470::/32 2400::/12 2606:4700::/32 2620:4f:8000::/48 2a00::/12"
).split()


def some_of(text: str) -> list[str]:
    network = ip_network(text)
    last = int(network.broadcast_address)
    kind = IPv4Address if network.version == 4 else IPv6Address
    first = int(network.network_address)
    return [str(kind(number)) for number in {first, first + (last - first) // 3, last}]


@pytest.mark.parametrize("network", NOT_GLOBAL)
def test_what_the_registries_do_not_call_globally_reachable_is_not_public(network: str) -> None:
    assert [host for host in some_of(network) if is_public(host)] == []


@pytest.mark.parametrize("network", GLOBAL)
def test_what_they_do_and_what_was_handed_out_is_public(network: str) -> None:
    assert [host for host in some_of(network) if not is_public(host)] == []


@given(st.integers(0, 2**32 - 1))
def test_pythons_own_registry_closes_no_ipv4_address_that_is_open_here(number: int) -> None:
    address = IPv4Address(number)
    if is_public(str(address)):
        assert (address.is_global and not address.is_multicast) or any(address in each for each in PUBLIC)


@given(st.integers(0, 2**128 - 1) | st.integers(0, 2**126).map(lambda low: 0x2000 << 112 | low))
def test_pythons_own_registry_closes_no_ipv6_address_that_is_open_here(number: int) -> None:
    address = IPv6Address(number)
    if is_public(str(address)):
        known = any(isinstance(each, IPv6Network) and address in each for each in PUBLIC)
        assert known or (address.is_global and not address.is_multicast and not address.is_reserved)


def written(number: int) -> dict[str, int]:
    """All ways of writing an IPv4 address into an IPv6 one."""
    return {
        "mapped": (0xFFFF << 32) | number,
        "compatible": number,
        "translated": (0xFFFF0000 << 32) | number,
        "nat64": (0x64FF9B << 96) | number,
        "local nat64 /96": (0x64FF9B0001 << 80) | number,
        "local nat64 /64": (0x64FF9B0001 << 80) | (number << 24),
        "local nat64 /56": (0x64FF9B0001 << 80) | (number >> 24 << 64) | ((number & 0xFFFFFF) << 32),
        "local nat64 /48": (0x64FF9B0001 << 80) | (number >> 16 << 64) | ((number & 0xFFFF) << 40),
        "6to4": (0x2002 << 112) | (number << 80) | 1,
        "teredo client": (0x20010000 << 96) | (0x01010101 << 64) | (~number & 0xFFFFFFFF),
        "teredo server": (0x20010000 << 96) | (number << 64) | (~0x01010101 & 0xFFFFFFFF),
        "isatap": (0x2A00 << 112) | (0x5EFE << 32) | number,
        "isatap, globally unique": (0x2A00 << 112) | (0x02005EFE << 32) | number,
    }


@given(st.integers(2**24, 2**32 - 1))
def test_an_ipv4_address_is_found_in_every_ipv6_address_that_carries_it(number: int) -> None:
    carried = IPv4Address(number)
    assert [way for way, value in written(number).items() if carried not in forms(IPv6Address(value))] == []


@given(st.sampled_from([place for place in CLOSED if isinstance(place, IPv4Network)]), st.integers(0, 2**32 - 1))
def test_no_way_of_writing_a_private_ipv4_address_into_an_ipv6_one_is_public(place: IPv4Network, number: int) -> None:
    inside = int(place.network_address) + number % place.num_addresses
    if kind_of(IPv4Address(inside)) is not None:
        assert {way for way, value in written(inside).items() if is_public(str(IPv6Address(value)))} == set()


@pytest.mark.parametrize("way", ["mapped", "nat64", "6to4", "teredo client", "isatap"])
def test_a_public_ipv4_address_inside_leaves_its_carrier_public(way: str) -> None:
    assert is_public(str(IPv6Address(written(0x08080808)[way])))


def test_an_address_with_a_zone_and_a_name_are_not_public() -> None:
    assert not is_public("2606:4700::1%eth0")
    with pytest.raises(ValueError, match="localhost"):
        is_public("localhost")


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("169.254.169.254", "link-local"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("10.0.0.1", "private"),
        ("::1", "loopback"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_it_is_told_what_an_address_is(host: str, kind: str) -> None:
    assert kinds(ip_address(host)) == {kind}
