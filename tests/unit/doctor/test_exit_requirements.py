"""What exits need of a host, and how a host that lacks it is described."""

from ipaddress import ip_address, ip_network

import pytest

from node.doctor.exits import exit_findings
from node.network.exit_requirements import (
    ExitProblem,
    ExitRequirement,
    listen_address_lost,
    not_bindable,
    not_routed,
    requirement_of,
    requirements_of,
    samples,
)
from shared.proxies import Exit, ProxyRecord

PREFIX = "2001:db8:1:2::/64"
LONGEST = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"
KEY = "00" * 16
REASON_MAX = 300
"""Of a failure in a report (shared.messages.Reason)."""


def record(exit_: Exit, id_: int = 1) -> ProxyRecord:
    return ProxyRecord(id=id_, version=1, content=1, protocol="http", port=20001, username="a", exit=exit_)


def test_the_default_exit_needs_nothing_whatever_else_it_carries() -> None:
    assert requirement_of(record(Exit())) is None
    assert requirement_of(record(Exit(prefix=PREFIX, key=KEY, address="198.51.100.7"))) is None


def test_an_exit_needs_its_address_or_its_prefix() -> None:
    assert requirement_of(record(Exit(mode="address", address="198.51.100.7"))) == ExitRequirement(
        "198.51.100.7", "builtin"
    )
    assert requirement_of(record(Exit(mode="ipv6_random", prefix=PREFIX, key=KEY))) == ExitRequirement(
        PREFIX, "builtin"
    )
    assert requirement_of(record(Exit(mode="ipv6_session", prefix=PREFIX, key=KEY))) == ExitRequirement(
        PREFIX, "builtin"
    )


def test_thousands_of_proxies_with_one_exit_are_one_need() -> None:
    random, session = (Exit(mode=mode, prefix=PREFIX, key=KEY) for mode in ("ipv6_random", "ipv6_session"))
    assert requirements_of(record(random if id_ % 2 else session, id_) for id_ in range(1, 2001)) == {
        ExitRequirement(PREFIX, "builtin")
    }


def test_a_prefix_is_tried_at_both_of_its_ends_and_never_outside() -> None:
    network = ip_network(PREFIX)
    tried = samples(PREFIX)
    assert all(address in network for address in tried)
    assert {address in next(network.subnets()) for address in tried} == {True, False}


@pytest.mark.parametrize("prefix", ["2001:db8::/32", "2001:db8::/112", "2001:db8::/127", "2001:db8::1/128"])
def test_prefixes_of_every_length_have_addresses_to_try(prefix: str) -> None:
    assert all(address in ip_network(prefix) for address in samples(prefix))


def test_an_address_is_tried_itself() -> None:
    assert samples("198.51.100.7") == [ip_address("198.51.100.7")]


def test_a_missing_address_comes_with_the_command_and_the_hosts_addresses_of_its_family() -> None:
    lack = not_routed(ExitRequirement("203.0.113.8", "builtin"), ["198.51.100.7", "2001:db8::7"])
    assert lack.reason == "the exit address 203.0.113.8 is not an address of this node's host"
    assert "ip address add 203.0.113.8 dev" in lack.remedy
    assert "198.51.100.7" in lack.remedy
    assert "2001:db8::7" not in lack.remedy


def test_a_host_without_an_address_of_the_family_suggests_another_exit() -> None:
    assert "another exit" in not_routed(ExitRequirement("203.0.113.8", "builtin"), ["2001:db8::7"]).remedy


def test_a_missing_prefix_comes_with_the_route_to_add() -> None:
    lack = not_routed(ExitRequirement(PREFIX, "builtin"), [])
    assert PREFIX in lack.reason
    assert f"ip -6 route add local {PREFIX} dev lo" in lack.remedy


@pytest.mark.parametrize("place", [LONGEST, f"{LONGEST[:-4]}0/112"])
def test_every_reason_fits_into_a_report_with_its_remedy(place: str) -> None:
    need, own = ExitRequirement(place, "builtin"), [LONGEST] * 10
    lacks = [not_routed(need, own), not_bindable(need, "Cannot assign requested address"), listen_address_lost(place)]
    assert max(len(lack.text) for lack in lacks) <= REASON_MAX


def test_the_doctor_looks_at_each_exit_once_and_tells_how_many_proxies_need_it() -> None:
    fixed, random = ExitRequirement("198.51.100.7", "builtin"), ExitRequirement(PREFIX, "builtin")
    good, bad = exit_findings(
        [fixed, random, random], lambda needs: {random: ExitProblem("it is not routed here", "route it")}
    )
    assert (good.level, bad.level) == ("ok", "problem")
    assert "2 proxies" in bad.text
    assert bad.advice.startswith("route it")


def test_without_exits_the_doctor_has_nothing_to_tell() -> None:
    assert exit_findings([]) == []
