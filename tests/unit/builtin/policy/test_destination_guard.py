"""Which addresses a proxy connects to."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.engine.builtin.net.own_addresses import own_networks
from node.engine.builtin.policy.destination_guard import DestinationGuard, networks
from node.engine.builtin.policy.source_limits import SourceLimits, group

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
PRIVATE = (
    *METADATA,
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1"),
)


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_private_to_the_node_is_refused(host: str) -> None:
    assert not DestinationGuard().permits(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "192.0.0.9", "2606:4700::1111", "2620:4f:8000::1", "64:ff9b::101:101"])
def test_the_internet_is_open(host: str) -> None:
    assert DestinationGuard().permits(host)


@pytest.mark.parametrize(
    "host",
    (
        "240.0.0.1 198.18.0.1 192.0.0.1 192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1"
        " 2001:db8::1 100::1 3fff::1 5f00::1 ::ffff:0:8.8.8.8 64:ff9b:1::8.8.8.8 ::8.8.8.8"
        " 64:ff9b::10.0.0.1 2002:7f00:1:: 2a00::5efe:10.0.0.1 ::ffff:10.0.0.1"
    ).split(),
)
def test_what_is_nobodys_or_hides_a_private_address_is_refused(host: str) -> None:
    assert not DestinationGuard().permits(host)


def test_an_opened_network_opens_no_private_address_that_it_carries() -> None:
    guard = DestinationGuard(networks(("64:ff9b::/96", "64:ff9b:1::/48", "::/3")))
    assert [host for host in ("64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "::10.0.0.1") if guard.permits(host)] == []
    assert guard.permits("64:ff9b:1::8.8.8.8")


def test_the_setting_opens_networks_and_nothing_else() -> None:
    guard = DestinationGuard(networks(("10.1.0.0/16", "::1")))
    assert [guard.permits(host) for host in ("10.1.2.3", "::ffff:10.1.2.3", "::1", "10.2.0.1", "127.0.0.1")] == [
        *(True, True, True),
        *(False, False),
    ]


def test_the_hosts_own_addresses_are_private_to_it_unless_they_are_opened() -> None:
    own = networks(("8.8.8.8",))
    assert not DestinationGuard(own=own).permits("8.8.8.8")
    assert not DestinationGuard(own=own).permits("64:ff9b::8.8.8.8")
    assert DestinationGuard(opened=own, own=own).permits("8.8.8.8")


def test_what_is_no_address_is_refused() -> None:
    assert not DestinationGuard().permits("localhost")


def test_the_kernel_tells_the_hosts_own_addresses_and_local_prefixes() -> None:
    """In a network namespace of its own, so that there is something to find."""
    assert networks(("127.0.0.1",))[0] in own_networks()
    look = "from node.engine.builtin.net.own_addresses import own_networks; print(*sorted(map(str, own_networks())))"
    script = (
        "ip link set lo up && ip addr add 203.0.113.9/24 dev lo && ip -6 addr add 2001:db8:1::9/128 dev lo && "
        f"ip -6 route add local 2001:db8:2::/64 dev lo && exec {sys.executable} -c '{look}'"
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[4],
        check=False,
    )
    if done.returncode and "Operation not permitted" in done.stderr:
        pytest.skip("this user may not make network namespaces")
    assert {"203.0.113.9/32", "2001:db8:1::9/128", "2001:db8:2::/64", "127.0.0.0/8"} <= set(done.stdout.split())


def test_a_source_is_an_ipv4_address_or_a_64_of_ipv6() -> None:
    assert group("203.0.113.9") == group("::ffff:203.0.113.9") != group("203.0.113.8")
    assert group("2001:db8::1") == group("2001:db8::ffff:1%eth0") != group("2001:db8:0:1::1")


def test_a_source_that_left_may_come_again() -> None:
    sources = SourceLimits(most=2)
    assert sources.enter("203.0.113.9")
    assert sources.enter("::ffff:203.0.113.9")
    assert not sources.enter("203.0.113.9")
    assert sources.enter("203.0.113.8")
    sources.leave("203.0.113.9")
    assert sources.enter("203.0.113.9")
