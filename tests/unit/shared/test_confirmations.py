"""When a connection over which nothing is confirmed is left."""

from shared.bus.confirmations import CONFIRM_S, FIRST_CONFIRM_S, LEAVE_EVERY_S, Confirmations


def test_the_first_message_of_a_connection_has_to_be_confirmed_sooner_than_the_others() -> None:
    confirmations = Confirmations()
    assert confirmations.limit_s == FIRST_CONFIRM_S
    confirmations.confirmed(100)
    assert confirmations.limit_s == CONFIRM_S
    confirmations.opened()
    assert confirmations.limit_s == FIRST_CONFIRM_S


def test_a_connection_that_confirmed_nothing_since_the_message_is_left_each_time() -> None:
    confirmations = Confirmations()
    confirmations.confirmed(99)
    assert confirmations.is_stuck(100, 110)
    assert confirmations.is_stuck(111, 121)


def test_one_queue_that_confirms_nothing_while_others_do_costs_a_connection_once_a_minute() -> None:
    confirmations = Confirmations()
    confirmations.confirmed(105)
    assert confirmations.is_stuck(100, 110)
    confirmations.confirmed(115)
    assert not confirmations.is_stuck(112, 122)
    confirmations.confirmed(110 + LEAVE_EVERY_S)
    assert confirmations.is_stuck(105 + LEAVE_EVERY_S, 115 + LEAVE_EVERY_S)
