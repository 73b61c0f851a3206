"""Bounds of announcements."""

import pytest

from master.domain.nodes.invitations.limits import (
    BOUND_S,
    HANDSHAKES,
    HANDSHAKES_PER_SENDER,
    REFUSALS_PER_MINUTE,
    SENDERS,
    Recent,
    RefusalRates,
    Slots,
    may_name,
    sender_of,
)

KEY = (3, "nonce")


def test_a_sender_of_false_announcements_is_told_to_wait_and_others_are_not():
    refusals = RefusalRates()
    assert all(refusals.admit("a", 0.0) for _ in range(REFUSALS_PER_MINUTE))
    assert not refusals.admit("a", 1.0)
    assert refusals.admit("b", 1.0)
    assert refusals.wait_s(1.0) == 59


def test_false_announcements_are_admitted_again_after_a_minute():
    refusals = RefusalRates()
    for _ in range(REFUSALS_PER_MINUTE + 5):
        refusals.admit("a", 0.0)
    assert refusals.admit("a", 60.0)


def test_senders_beyond_the_bound_share_one_count():
    refusals = RefusalRates()
    for number in range(SENDERS + REFUSALS_PER_MINUTE + 1):
        refusals.admit(str(number), 0.0)
    assert not refusals.admit("another", 0.0)
    assert refusals.admit("0", 0.0)


def test_addresses_of_one_ipv6_network_are_one_sender():
    assert sender_of("2001:db8:1:2::1") == sender_of("2001:db8:1:2:ffff::9")
    assert sender_of("2001:db8:1:2::1") != sender_of("2001:db8:1:3::1")
    assert sender_of("192.0.2.1") != sender_of("192.0.2.2")


@pytest.mark.parametrize(
    ("sender", "ip", "is_allowed"),
    [
        ("8.8.8.8", "8.8.4.4", True),
        ("8.8.8.8", "10.0.0.1", False),
        ("8.8.8.8", "127.0.0.1", False),
        ("10.0.0.1", "8.8.8.8", True),
        ("10.0.0.1", "192.168.1.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "10.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", True),
        ("2606:4700::1", "::1", False),
        ("2606:4700::1", "fd00::1", False),
        ("fd00::1", "2606:4700::1", True),
    ],
)
def test_nobody_can_have_the_master_call_into_a_network_that_he_is_not_in(sender: str, ip: str, is_allowed: bool):
    assert may_name(sender, ip) is is_allowed


def test_a_nonce_belongs_to_its_first_sender_for_a_while():
    recent: Recent[str] = Recent()
    recent.remember(KEY, "a", "answer", 0.0, 5.0)
    known = recent.find(KEY, BOUND_S - 1)
    assert known is not None
    assert (known.sender, known.until) == ("a", 5.0)
    assert recent.find(KEY, BOUND_S) is None


def test_only_the_latest_announcements_are_remembered():
    recent: Recent[str] = Recent(size=2)
    for number in range(3):
        recent.remember((number, "nonce"), "a", "answer", 0.0, 5.0)
    assert [recent.find((number, "nonce"), 1.0) is not None for number in range(3)] == [False, True, True]


def test_handshakes_are_bounded_for_each_sender_and_in_all():
    slots = Slots()
    assert [slots.take("a") for _ in range(HANDSHAKES_PER_SENDER + 1)].count(True) == HANDSHAKES_PER_SENDER
    taken = sum(slots.take(str(number)) for number in range(HANDSHAKES))
    assert taken == HANDSHAKES - HANDSHAKES_PER_SENDER


def test_a_slot_that_was_given_back_is_free():
    slots = Slots()
    for _ in range(HANDSHAKES_PER_SENDER):
        slots.take("a")
    slots.free("a")
    assert slots.take("a")
