"""Who gets into a proxy."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.access import access, allows, allows_credentials, allows_source, basic_credentials

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
