"""What of a proxy can be rotated, and which exit comes next."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.proxies.options import RotationPart
from master.domain.proxies.rotatable import next_address, next_exit, why_not_rotatable

ADDRESSES = st.lists(st.ip_addresses().map(str), max_size=8, unique=True)


@pytest.mark.parametrize(
    ("what", "engine", "username", "word"),
    [
        (["port"], "3proxy", "ann", "second port"),
        (["credentials"], "builtin", None, "no user name"),
        (["exit"], "builtin", "ann", "default"),
        (["credentials", "node"], "3proxy", "ann", None),
        (["port", "node"], "builtin", None, None),
    ],
)
def test_what_a_proxy_does_not_have_cannot_be_rotated(
    what: list[RotationPart], engine: str, username: str | None, word: str | None
):
    reason = why_not_rotatable(what, engine=engine, has_login=username is not None, exit_={})  # type: ignore[arg-type]
    assert (word is None) == (reason is None)
    assert word is None or word in (reason or "")


@given(ADDRESSES)
def test_addresses_of_one_family_take_turns_until_each_had_one(addresses: list[str]):
    versions = {ip_address(each).version for each in addresses}
    for version in versions:
        mine = {each for each in addresses if ip_address(each).version == version}
        seen, now = set[str](), min(mine)
        for _ in mine:
            now = next_address(now, addresses) or now
            seen.add(now)
        assert seen == mine


def test_without_another_address_of_the_family_there_is_no_next_exit():
    exit_ = {"mode": "address", "address": "192.0.2.1"}
    assert next_exit(exit_, ["192.0.2.1", "2001:db8::1"]) is None
    assert next_exit(exit_, ["192.0.2.1", "192.0.2.9"]) == {"mode": "address", "address": "192.0.2.9"}


def test_sessions_get_another_generation_and_random_exits_stay_as_they_are():
    assert next_exit({"mode": "ipv6_session", "generation": 4}, []) == {"mode": "ipv6_session", "generation": 5}
    assert next_exit({"mode": "ipv6_random"}, []) == {"mode": "ipv6_random"}
    assert next_exit({}, ["192.0.2.9"]) is None
