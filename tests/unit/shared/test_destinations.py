"""What settings say of ports and hosts, and what the built-in engine makes of it."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.policy.denied_destinations import denied_destinations
from node.engine.builtin.policy.records import DestinationsRecord
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.protocols.failures import ConnectFailure
from shared.destinations import canonical_host, canonical_ports, closed_ports, is_covered, port_bounds

PORT = st.integers(1, 65535)
SPEC = PORT | st.tuples(PORT, PORT).map(lambda ends: f"{min(ends)}-{max(ends)}")
SPECS = st.lists(SPEC, max_size=6)


def ports_of(specs: list[int | str]) -> set[int]:
    return {port for first, last in map(port_bounds, specs) for port in range(first, last + 1)}


@given(SPECS)
def test_ports_are_kept_in_order_without_overlaps(specs: list[int | str]) -> None:
    kept = canonical_ports(specs)
    assert ports_of(list(kept)) == ports_of(specs)
    assert canonical_ports(kept) == kept


@given(SPECS, SPECS, SPECS)
def test_a_proxys_own_word_goes_before_the_nodes(deny: list[int | str], allow: list[int | str], node: list[int | str]):
    everything = set(range(1, 65536))
    closed = {port for first, last in closed_ports(deny, allow, node) for port in range(first, last + 1)}
    assert closed == ports_of(deny) | (everything - ports_of(allow) if allow else ports_of(node))


@pytest.mark.parametrize("port", [0, 65536, "25", "30-20", "0-5", "1-70000", "a-b", ""])
def test_what_is_no_port_is_refused(port: int | str) -> None:
    with pytest.raises(ValueError, match="port"):
        canonical_ports([port])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Example.COM.", "example.com"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("[2001:DB8::1]", "2001:db8::1/128"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("_dmarc.example.com", "_dmarc.example.com"),
    ],
)
def test_a_host_is_kept_in_one_spelling(said: str, kept: str) -> None:
    assert canonical_host(said) == kept


@pytest.mark.parametrize(
    "said", ["", "bücher.example", "a b", "*.example.com", "1.2.3", "a..b", "127.1", "0x7f.1", "-a"]
)
def test_what_is_no_host_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"host|name"):
        canonical_host(said)


def test_a_name_covers_its_subdomains_and_nothing_else() -> None:
    names = frozenset({"example.com"})
    asked = ("example.com", "www.example.com", "a.b.example.com.", "example.com.evil.test", "notexample.com", "com")
    assert [is_covered(name, names) for name in asked] == [True, True, True, False, False, False]


def refusal(host: str, port: int, node: tuple[int | str, ...] = (25,), **asked: Any) -> ConnectFailure | None:
    return denied_destinations(DestinationsRecord(**asked), node).refusal(Destination(host, port))


def test_mail_is_closed_unless_the_proxy_opens_it() -> None:
    assert refusal("mx.test", 25) is ConnectFailure.PORT
    assert refusal("mx.test", 587) is None
    assert refusal("mx.test", 25, ()) is None
    assert refusal("mx.test", 25, allow_ports=(25,)) is None
    assert refusal("mx.test", 80, allow_ports=(25,)) is ConnectFailure.PORT
    assert refusal("mx.test", 6885, deny_ports=("6881-6999",)) is ConnectFailure.PORT


def test_names_are_closed_in_any_case() -> None:
    assert refusal("WWW.Example.com", 80, deny_hosts=("example.com",)) is ConnectFailure.CLOSED
    assert refusal("example.org", 80, deny_hosts=("example.com",)) is None


def test_addresses_are_closed_in_every_spelling_and_others_of_the_name_stay() -> None:
    off = denied_destinations(DestinationsRecord(deny_hosts=("192.0.2.0/24",)), ())
    closed = (socket.AF_INET, "192.0.2.7")
    carried = (socket.AF_INET6, "64:ff9b::c000:207")
    other = (socket.AF_INET, "198.51.100.1")
    assert off.open_of([closed, carried]) is ConnectFailure.CLOSED
    assert off.open_of([closed, other]) == [other]
    assert off.open_of([]) == []
