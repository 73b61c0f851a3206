"""Which exits work on a host is asked of the kernel, for each engine as it would leave by them."""

import subprocess

import pytest

from node.network.exit_requirements import ExitRequirement
from node.network.exit_trial import failed_exits, is_own
from shared.proxies import EngineName
from tests.cluster.networks import ip
from tests.engines.exits import PREFIX, V4_EXIT, V6_EXIT


def fails(place: str, engine: EngineName = "builtin") -> bool:
    need = ExitRequirement(place, engine)
    return need in failed_exits([need])


@pytest.mark.parametrize("place", [PREFIX, V4_EXIT, V6_EXIT, "127.0.0.1", "::1"])
def test_what_is_routed_here_works(routed: None, place: str) -> None:
    assert not fails(place)


@pytest.mark.parametrize(
    "place",
    ["203.0.113.9", "2001:db8:99::1", "2001:db8:99::/64", "224.0.0.1", "255.255.255.255", "ff02::1", "0.0.0.0", "::"],
)
def test_what_is_not_routed_here_fails(routed: None, place: str) -> None:
    assert fails(place)


def test_the_broadcast_address_of_a_network_is_no_exit(routed: None) -> None:
    ip("address", "add", "192.0.2.7/24", "dev", "lo")
    assert not fails("192.0.2.7")
    assert fails("192.0.2.255")


def test_a_route_to_half_of_a_prefix_does_not_make_it_work(routed: None) -> None:
    for half in ("2001:db8:88::/65", "2001:db8:88:0:8000::/65"):
        assert fails("2001:db8:88::/64")
        ip("-6", "route", "add", "local", half, "dev", "lo")
    assert not fails("2001:db8:88::/64")


def test_a_prefix_that_is_routed_on_but_not_delivered_here_fails(routed: None) -> None:
    ip("-6", "route", "add", "2001:db8:88::/64", "dev", "lo")
    assert fails("2001:db8:88::/64")
    ip("-6", "route", "add", "blackhole", "2001:db8:89::/64")
    assert fails("2001:db8:89::/64")


def test_an_ipv6_address_that_no_interface_has_serves_the_builtin_engine_only(routed: None) -> None:
    assert not fails(V6_EXIT, "builtin")
    assert fails(V6_EXIT, "3proxy")
    ip("address", "add", f"{V6_EXIT}/128", "dev", "lo")
    assert not fails(V6_EXIT, "3proxy")


def test_the_remedy_names_the_addresses_that_the_host_has(routed: None) -> None:
    need = ExitRequirement("203.0.113.9", "builtin")
    assert f"choose one of {V4_EXIT}" in failed_exits([need])[need].text


def test_ten_thousand_needs_are_one_conversation_with_the_kernel(routed: None) -> None:
    needs = [ExitRequirement(f"203.0.{number // 250}.{number % 250}", "builtin") for number in range(10_000)]
    assert len(failed_exits(needs)) == 10_000


def test_the_address_that_a_node_listens_on_is_known_to_be_here_or_not(routed: None) -> None:
    assert [is_own(each) for each in ("0.0.0.0", "::", "127.0.0.1", V4_EXIT, "203.0.113.9")] == [True] * 4 + [False]


def ipv6_off() -> None:
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"], check=True)


def test_a_host_without_ipv6_lacks_every_ipv6_exit(routed: None) -> None:
    ipv6_off()
    assert fails("2001:db8:99::1")
    assert fails("2001:db8:99::/64")
    assert not fails(V4_EXIT)
