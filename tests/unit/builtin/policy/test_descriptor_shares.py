"""How much of a worker clients may take, and who has to go when it is too much."""

import pytest

from node.engine.builtin.policy import login_delays
from node.engine.builtin.policy.descriptor_shares import descriptor_shares
from node.engine.builtin.policy.login_delays import FORGET_S, FREE, LONGEST_S, LoginDelays, delay_of
from node.engine.builtin.policy.unadmitted_clients import UnadmittedClients

HERE, THERE = "203.0.113.9", "203.0.113.10"


@pytest.mark.parametrize("descriptors", [256, 1024, 4096, 20_000, 65_536, 1 << 20])
def test_two_sources_and_all_who_are_not_admitted_leave_room_for_customers(descriptors: int) -> None:
    """A customer's connection takes two descriptors, an association four, a pipe two."""
    found = descriptor_shares(descriptors)
    assert found.unadmitted + 2 * found.pipes <= descriptors * 3 // 8
    assert 2 * 2 * found.per_source <= descriptors // 2
    assert 4 * found.associations <= descriptors // 4
    assert 2 * found.unadmitted_per_proxy <= found.unadmitted


def test_the_cap_of_a_source_follows_the_limit_of_the_process() -> None:
    assert [descriptor_shares(most).per_source for most in (1024, 20_000, 1 << 20)] == [128, 2500, 10_000]


def test_what_is_asked_for_goes_before_the_shares() -> None:
    asked = {"connections_per_source": 7, "unadmitted_connections": 40, "failed_logins": 2}
    found = descriptor_shares(1024, asked)
    assert (found.per_source, found.unadmitted, found.unadmitted_per_proxy, found.failed_logins) == (7, 40, 20, 2)


def test_what_is_not_asked_for_is_a_share() -> None:
    assert descriptor_shares(1024, {"connections_per_source": None, "failed_logins": None}) == descriptor_shares(1024)


def test_clients_that_are_not_admitted_never_get_all_descriptors() -> None:
    assert descriptor_shares(1024, {"unadmitted_connections": 10**6}).unadmitted == 512


def entered(most: int, most_per_proxy: int, *clients: str) -> UnadmittedClients[str]:
    """A client is called by its proxy and a number."""
    made: UnadmittedClients[str] = UnadmittedClients(most, most_per_proxy)
    for client in clients:
        made.enter(client[0], client)
    return made


def test_the_oldest_of_a_proxy_that_has_too_many_goes() -> None:
    assert entered(10, 2, "A1", "B1", "A2", "A3").surplus("A") == "A1"


def test_nobody_goes_while_there_is_room() -> None:
    made = entered(4, 2, "A1", "B1", "A2", "B2")
    assert [made.surplus(owner) for owner in "ABC"] == [None, None, None]


def test_of_a_full_worker_the_proxy_that_holds_most_gives_up_its_own() -> None:
    made = entered(5, 4, "B1", "A1", "A2", "A3", "A4", "C1")
    assert made.surplus("A") == "A1"


def test_a_proxy_with_few_takes_the_place_of_the_oldest_of_all() -> None:
    made = entered(5, 4, "A1", "A2", "A3", "A4", "C1", "B1")
    assert made.surplus("B") == "A1"


def test_who_leaves_is_not_counted_any_more() -> None:
    made = entered(10, 1, "A1", "A2")
    made.leave("A1")
    made.leave("A1")
    assert (made.surplus("A"), made.of("A"), len(made)) == (None, 1, 1)
    made.leave("A2")
    assert (made.of("A"), len(made)) == (0, 0)


def test_the_first_failures_are_answered_at_once_and_later_ones_ever_later_up_to_a_bound() -> None:
    delays = [delay_of(count) for count in range(1, 100)]
    assert delays[:FREE] == [0.0] * FREE
    assert delays[FREE] > 0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_S


def test_a_source_is_slowed_down_at_one_proxy_and_others_are_not() -> None:
    guesses = LoginDelays()
    delays = [guesses.delay(1, HERE, 0.0) for _ in range(FREE + 1)]
    assert delays[-1] > 0
    assert (guesses.delay(2, HERE, 0.0), guesses.delay(1, THERE, 0.0)) == (0.0, 0.0)


def test_a_64_of_ipv6_is_one_source() -> None:
    guesses = LoginDelays()
    assert [guesses.delay(1, f"2001:db8::{number:x}", 0.0) for number in range(FREE + 1)][-1] > 0


def test_failures_are_forgotten_after_a_while() -> None:
    guesses = LoginDelays()
    for _ in range(50):
        guesses.delay(1, HERE, 0.0)
    assert guesses.delay(1, HERE, FORGET_S) == 0.0


def test_no_more_sources_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_delays, "_MAX_SOURCES", 3)
    guesses = LoginDelays()
    for number in range(10):
        guesses.delay(1, f"203.0.113.{number}", 0.0)
    assert len(guesses) == 3
    guesses.trim(FORGET_S)
    assert len(guesses) == 0
