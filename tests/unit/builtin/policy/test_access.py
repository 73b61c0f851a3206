"""Who gets into a proxy."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.policy.access import (
    AccessGate,
    access,
    allows,
    allows_credentials,
    allows_source,
    remembered_credentials,
    session_of,
)
from node.engine.builtin.protocols.http_auth import basic_credentials

LOGIN = access("alice", "wonder", ())


def test_the_right_login_gets_in_from_anywhere() -> None:
    assert allows(LOGIN, "198.51.100.7", b"alice:wonder")


@pytest.mark.parametrize("presented", [None, b"", b"alice:", b"alice:wonde", b"alice:wonder ", b"Alice:wonder"])
def test_any_other_login_does_not(presented: bytes | None) -> None:
    assert not allows(LOGIN, "198.51.100.7", presented)


def test_with_neither_login_nor_sources_nobody_gets_in() -> None:
    assert not allows(access(None, None, ()), "127.0.0.1", None)
    assert not allows(access(None, None, ()), "127.0.0.1", b"alice:wonder")


def test_a_password_without_a_name_still_asks_for_it() -> None:
    assert not allows_credentials(access(None, "wonder", ()), None)


@pytest.mark.parametrize(
    ("network", "source", "inside"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.9/24", "192.0.2.1", True),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.0/120", "192.0.2.77", True),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("::/0", "192.0.2.1", False),
        ("192.0.2.0/24", "no address", False),
    ],
)
def test_a_source_is_inside_its_network_or_not(network: str, source: str, inside: bool) -> None:
    assert allows_source(access(None, None, [network]), source) is inside


def test_with_login_and_sources_both_must_hold() -> None:
    both = access("alice", "wonder", ["192.0.2.0/24"])
    assert allows(both, "192.0.2.1", b"alice:wonder")
    assert not allows(both, "192.0.2.1", b"alice:guess")
    assert not allows(both, "192.0.3.1", b"alice:wonder")


@given(st.lists(st.ip_addresses(), min_size=1, max_size=20))
def test_every_listed_address_gets_in(addresses: list[object]) -> None:
    asked = access(None, None, [str(address) for address in addresses])
    assert all(allows_source(asked, str(address)) for address in addresses)


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"Basic " + b64encode(b"a:b"), b"a:b"),
        (b"bAsIc   " + b64encode(b"a:b:c"), b"a:b:c"),
        (b"Basic", None),
        (b"Basic ?", None),
        (b"Basic YTpi\nZQ==", None),
        (b"Bearer YTpi", None),
        (b"", None),
        (None, None),
    ],
)
def test_basic_credentials_are_read_or_not(value: bytes | None, credentials: bytes | None) -> None:
    assert (basic_credentials(value) or None) == credentials


@given(st.binary(max_size=200))
def test_no_authorization_value_is_an_exception(value: bytes) -> None:
    assert not allows_credentials(LOGIN, basic_credentials(b"Basic " + value)) or b"YWxpY2U6d29uZGVy" in value


def test_a_password_shows_in_no_representation() -> None:
    assert "wonder" not in repr(LOGIN)


SESSIONS = access("alice", "wonder", [], sessions=True)


@pytest.mark.parametrize(
    ("presented", "session"),
    [
        (b"alice:wonder", None),
        (b"alice-session-a1:wonder", b"a1"),
        (b"alice-session-" + b"x" * 64 + b":wonder", b"x" * 64),
    ],
)
def test_a_user_name_may_name_a_session_where_there_are_any(presented: bytes, session: bytes | None) -> None:
    assert allows(SESSIONS, "192.0.2.1", presented)
    assert session_of(SESSIONS, presented) == session


@pytest.mark.parametrize(
    "presented",
    [
        b"alice-session-:wonder",
        b"alice-session-a b:wonder",
        b"alice-session-a_b:wonder",
        b"alice-session-" + b"x" * 65 + b":wonder",
        b"alice-session-a:guess",
        b"bob-session-a:wonder",
        b"-session-a:wonder",
        b"alice-session-a",
        b"alice:wonder-session-a:wonder",
    ],
)
def test_what_is_not_name_session_and_password_lets_nobody_in(presented: bytes) -> None:
    assert not allows(SESSIONS, "192.0.2.1", presented)


def test_without_sessions_a_user_name_is_taken_as_it_is() -> None:
    asked = access("alice", "wonder", [])
    assert not allows(asked, "192.0.2.1", b"alice-session-a:wonder")
    assert session_of(asked, b"alice:wonder") is None


def test_a_user_whose_own_name_looks_like_a_session_is_that_user_and_may_have_sessions_too() -> None:
    asked = access("bob-session-1", "wonder", [], sessions=True)
    assert allows(asked, "192.0.2.1", b"bob-session-1:wonder")
    assert session_of(asked, b"bob-session-1:wonder") is None
    assert allows(asked, "192.0.2.1", b"bob-session-1-session-2:wonder")
    assert session_of(asked, b"bob-session-1-session-2:wonder") == b"2"


def test_a_proxy_without_a_password_takes_sessions_from_any_name() -> None:
    asked = access(None, None, ["192.0.2.0/24"], sessions=True)
    assert allows(asked, "192.0.2.1", b"x-session-a:")
    assert session_of(asked, b"x-session-a:") == b"a"


def test_further_logins_are_as_good_and_taken_away_they_are_not() -> None:
    both = access("alice", "wonder", (), sessions=True, others=[("bob", "builder")])
    assert [allows_credentials(both, each) for each in (b"alice:wonder", b"bob:builder")] == [True, True]
    assert not allows_credentials(both, b"bob:wonder")
    assert not allows_credentials(LOGIN, b"bob:builder")


def test_what_let_somebody_in_is_remembered_without_the_session() -> None:
    both = access("alice", "wonder", (), sessions=True, others=[("bob", "builder")])
    assert remembered_credentials(both, b"bob-session-7:builder") == b"bob:builder"
    assert session_of(both, b"bob-session-7:builder") == b"7"


def test_where_nobody_is_asked_a_further_login_asks_nobody() -> None:
    assert allows_credentials(access(None, None, ["::1"], others=[("bob", "builder")]), None)


def test_a_further_login_that_asks_for_nothing_lets_nobody_in() -> None:
    assert not allows_credentials(access("alice", "wonder", (), others=[(None, None)]), b":")


NAMES = st.sampled_from(["alice", "bob", None])
SOURCES = st.sampled_from(["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7", "2001:db8::1", "nowhere"])
PRESENTED = st.sampled_from([b"alice:alice", b"alice-session-1:alice", b"alice-session-2:alice", b"bob:bob", b"", None])


@given(
    NAMES, st.sets(SOURCES.map(lambda source: source if ":" in source else "192.0.2.0/24")), st.booleans(), st.data()
)
def test_who_was_let_in_before_is_let_in_as_at_the_first_time(
    name: str | None, sources: set[str], sessions: bool, data: st.DataObject
) -> None:
    asked = access(name, name, sources, sessions=sessions, others=[("bob", "bob")])
    gate = AccessGate(asked)
    for source, presented in data.draw(st.lists(st.tuples(SOURCES, PRESENTED), max_size=20)):
        told = remembered_credentials(asked, presented), session_of(asked, presented)
        assert gate.admission(source, presented) == (told if allows(asked, source, presented) else None)
