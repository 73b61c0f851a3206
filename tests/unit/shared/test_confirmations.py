"""When a connection over which nothing is confirmed is left."""

from shared.bus.confirmations import CONFIRM_S, FIRST_CONFIRM_S, MOST_LEFT, WINDOW_S, Confirmations


def test_the_first_message_of_a_connection_has_to_be_confirmed_sooner_than_the_others() -> None:
    confirmations = Confirmations()
    assert confirmations.limit_s == FIRST_CONFIRM_S
    confirmations.confirmed(100)
    assert confirmations.limit_s == CONFIRM_S
    confirmations.opened()
    assert confirmations.limit_s == FIRST_CONFIRM_S


def test_a_connection_that_refuses_every_message_is_left_at_once_but_not_without_end() -> None:
    confirmations = Confirmations()
    assert [confirmations.is_stuck(now) for now in range(MOST_LEFT + 2)] == [True] * MOST_LEFT + [False] * 2
    assert confirmations.is_stuck(WINDOW_S + 1)


def test_a_connection_that_confirmed_nothing_since_the_message_is_left() -> None:
    confirmations = Confirmations()
    confirmations.confirmed(99)
    assert confirmations.is_stuck(110, since=100)
    assert confirmations.is_stuck(121, since=111)


def test_one_queue_that_takes_nothing_while_others_do_costs_a_connection_once_a_minute() -> None:
    confirmations = Confirmations()
    confirmations.confirmed(105)
    assert confirmations.is_stuck(110, since=100)
    assert not confirmations.is_stuck(111)
    assert confirmations.is_stuck(111 + WINDOW_S)
