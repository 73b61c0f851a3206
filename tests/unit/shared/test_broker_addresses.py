"""Addresses of brokers, and what is refused in them."""

import ssl
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.addresses import SYSTEM, addresses, endpoint, spread, ssl_context
from tests.tls.authority import Authority


@pytest.mark.parametrize(
    "url",
    [
        "amqps://u:hush@h/?no_verify_ssl=1",
        "amqps://u:hush@h/v?cafile=/etc/ca.pem",
        "amqp://u:hush@h/?heartbeat=0",
        "amqp://u:hush@h/#x",
        "amqps://u:hush@h/?",
        "http://u:hush@h/",
        "amqp://u:hush@/",
        "amqp://u:hush@h:0/",
        "amqp://u:hush@h:99999/",
        "amqp://u:hush@[::1/",
        "amqp://u:hush@h/a b",
        "amqp://u:hush@h/\n",
        "",
        "amqp://u:hush@" + "h" * 1000,
    ],
)
def test_an_address_with_options_or_without_a_host_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address|has options") as caught:
        addresses([url])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "urls",
    [
        [],
        ["amqp://h/"] * 9,
        ["amqp://h/", "amqps://h/"],
        ["amqp://u:1@h/", "amqp://u:2@i/"],
        ["amqp://h/a", "amqp://h/b"],
    ],
)
def test_addresses_that_are_not_of_one_cluster_are_refused(urls: list[str]) -> None:
    with pytest.raises(ValueError, match=r"of one cluster|one to 8"):
        addresses(urls)


def test_amqps_is_always_checked_by_an_authority_and_amqp_never() -> None:
    assert addresses(["amqps://h/"]).ca == SYSTEM
    assert addresses(["amqp://h/"]).ca is None
    with pytest.raises(ValueError, match="amqps"):
        addresses(["amqp://h/"], SYSTEM)


@pytest.mark.parametrize(
    "ca", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "é", "a" * 20_000]
)
def test_an_authority_that_is_no_certificate_is_refused(ca: str) -> None:
    with pytest.raises(ValueError, match="certificates"):
        addresses(["amqps://h/"], ca)


def test_the_context_verifies_chain_and_host_name() -> None:
    context = ssl_context(Authority().pem)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_endpoint_is_host_and_port() -> None:
    urls = ["amqp://u:p@h/", "amqps://h/v", "amqps://[::1]:7/"]
    assert [endpoint(url) for url in urls] == ["h:5672", "h:5671", "[::1]:7"]


@given(st.lists(st.integers(), unique=True, max_size=6), st.integers(min_value=0))
def test_each_program_has_all_brokers_in_an_order_of_its_own(brokers: list[int], number: int) -> None:
    assert sorted(spread(brokers, number)) == sorted(brokers)


@given(st.integers(0, 10_000), st.sets(st.sampled_from("abc"), max_size=2))
def test_programs_are_spread_evenly_over_three_brokers_also_over_those_that_are_left(
    first: int, away: set[str]
) -> None:
    orders = [spread("abc", number) for number in range(first, first + 600)]
    firsts = Counter(next(broker for broker in order if broker not in away) for order in orders)
    assert set(firsts.values()) == {600 // (3 - len(away))}
