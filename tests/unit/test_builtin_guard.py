"""Which addresses a proxy connects to."""

import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.guard import CLOSED, Guard, networks
from node.engine.builtin.own_addresses import own_networks
from node.engine.builtin.sources import Sources, group

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
PRIVATE = (
    *METADATA,
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1"),
)


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_private_to_the_node_is_refused(host: str) -> None:
    assert not Guard().permits(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "203.0.113.9", "2606:4700::1111", "2001:db8::1", "64:ff9b::101:101"])
def test_the_internet_is_open(host: str) -> None:
    assert Guard().permits(host)


@given(st.sampled_from([place for place in CLOSED if place.version == 4]), st.integers(0, 2**32 - 1))
def test_no_way_of_writing_an_ipv4_address_into_an_ipv6_one_gets_around(place: object, number: int) -> None:
    first, size = int(place.network_address), place.num_addresses  # type: ignore[attr-defined]
    inside = first + number % size
    written = {
        "mapped": (0xFFFF << 32) | inside,
        "nat64": (0x64FF9B << 96) | inside,
        "6to4": (0x2002 << 112) | (inside << 80) | 1,
        "teredo": (0x20010000 << 96) | (0x01010101 << 64) | (~inside & 0xFFFFFFFF),
        "compatible": inside,
    }
    assert not Guard().permits(str(IPv4Address(inside)))
    assert {name for name, value in written.items() if Guard().permits(str(IPv6Address(value)))} == set()


def test_the_setting_opens_networks_and_nothing_else() -> None:
    guard = Guard(networks(("10.1.0.0/16", "::1")))
    assert [guard.permits(host) for host in ("10.1.2.3", "::ffff:10.1.2.3", "::1", "10.2.0.1", "127.0.0.1")] == [
        *(True, True, True),
        *(False, False),
    ]


def test_the_hosts_own_addresses_are_private_to_it_unless_they_are_opened() -> None:
    own = networks(("203.0.113.9",))
    assert not Guard(own=own).permits("203.0.113.9")
    assert Guard(opened=own, own=own).permits("203.0.113.9")


def test_what_is_no_address_is_refused() -> None:
    assert not Guard().permits("localhost")


def test_the_kernel_tells_the_hosts_own_addresses_and_local_prefixes() -> None:
    """In a network namespace of its own, so that there is something to find."""
    assert networks(("127.0.0.1",))[0] in own_networks()
    look = "from node.engine.builtin.own_addresses import own_networks; print(*sorted(map(str, own_networks())))"
    script = (
        "ip link set lo up && ip addr add 203.0.113.9/24 dev lo && ip -6 addr add 2001:db8:1::9/128 dev lo && "
        f"ip -6 route add local 2001:db8:2::/64 dev lo && exec {sys.executable} -c '{look}'"
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode and "Operation not permitted" in done.stderr:
        pytest.skip("this user may not make network namespaces")
    assert {"203.0.113.9/32", "2001:db8:1::9/128", "2001:db8:2::/64", "127.0.0.0/8"} <= set(done.stdout.split())


def test_a_source_is_an_ipv4_address_or_a_64_of_ipv6() -> None:
    assert group("203.0.113.9") == group("::ffff:203.0.113.9") != group("203.0.113.8")
    assert group("2001:db8::1") == group("2001:db8::ffff:1%eth0") != group("2001:db8:0:1::1")


def test_a_source_that_left_may_come_again() -> None:
    sources = Sources(most=2)
    assert sources.enter("203.0.113.9")
    assert sources.enter("::ffff:203.0.113.9")
    assert not sources.enter("203.0.113.9")
    assert sources.enter("203.0.113.8")
    sources.leave("203.0.113.9")
    assert sources.enter("203.0.113.9")
