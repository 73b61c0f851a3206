"""Limits of the download port for each client."""

import pytest

from master.distribution.downloads.limits import BURST, MOST_ADDRESSES, Connections, RequestRates, client_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", ""),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64(address: str, client: str | None) -> None:
    assert client_of(address) == client


def test_a_flood_of_one_client_is_refused_and_does_not_hold_up_another() -> None:
    rates = RequestRates(Clock())
    assert [rates.admit("flood") for _ in range(int(BURST) + 5)].count(False) == 5
    assert rates.admit("other")


def test_a_client_that_was_refused_is_admitted_again_later() -> None:
    clock = Clock()
    rates = RequestRates(clock)
    while rates.admit("one"):
        pass
    clock.now += 1
    assert rates.admit("one")


def test_as_many_addresses_as_a_client_may_have_take_bounded_memory() -> None:
    rates = RequestRates(Clock())
    for number in range(MOST_ADDRESSES + 100):
        rates.admit(f"{number}")
    assert len(rates._buckets) == MOST_ADDRESSES


def test_a_reverse_proxy_on_the_masters_host_is_not_limited() -> None:
    rates = RequestRates(Clock())
    assert all(rates.admit(client_of("127.0.0.1")) for _ in range(int(BURST) * 2))


def test_one_client_cannot_take_all_connections() -> None:
    connections = Connections(most=5, most_of_client=2)
    assert [connections.open("a") for _ in range(3)] == [True, True, False]
    assert [connections.open("b") for _ in range(2)] == [True, True]
    connections.close("a")
    assert connections.open("a")
    assert [connections.open("c"), connections.open("d")] == [True, False]
