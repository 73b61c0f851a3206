"""What a proxy's exit and limits may say, and which node can do it."""

from typing import Any

import pytest

from master.domain.proxies.options import LimitOptions
from master.domain.proxies.settings import normalized
from master.errors import Invalid
from master.placement.candidates import exit_obstacle
from master.schemas.merge_patch import merged

PREFIX = "2001:db8:1::/64"


def settled(now: dict[str, Any] | None = None, *, engine: str = "builtin", **changes: Any) -> dict[str, Any]:
    """What becomes of these settings by these changes."""
    plain = {"tls": False, "exit": {}, "limits": {}, "destinations": {}, "rotation": {}}
    settings = {"engine": engine, **plain, **(now or {})}
    return normalized(merged(settings, changes), changes)


def pointers(**wish: Any) -> list[str]:
    """What the refusal points at."""
    with pytest.raises(Invalid) as caught:
        settled(**wish)
    return [error["pointer"] for error in caught.value.members["errors"]]


def test_the_default_is_kept_as_nothing():
    assert settled(exit={"mode": "default"}, limits={"connections": None})["exit"] == {}
    assert settled(limits={"traffic_period": "total", "connections": None})["limits"] == {}


def test_null_takes_one_limit_away_and_leaves_the_others():
    now = {"limits": {"connections": 5, "bandwidth_bps": 8000}}
    assert settled(now, limits={"connections": None})["limits"] == {"bandwidth_bps": 8000}


def test_null_for_all_of_them_takes_all_away():
    now = {"limits": {"connections": 5}, "exit": {"mode": "address", "address": "10.0.0.1"}}
    after = settled(now, limits=None, exit=None)
    assert (after["exit"], after["limits"]) == ({}, {})


def test_another_mode_leaves_the_members_of_the_old_one_behind():
    now = {"exit": {"mode": "ipv6_session", "prefix": PREFIX, "session_ttl_s": 60}}
    assert settled(now, exit={"mode": "ipv6_random"})["exit"] == {"mode": "ipv6_random", "prefix": PREFIX}
    assert settled(now, exit={"mode": "default"})["exit"] == {}


def test_a_member_that_the_mode_does_not_have_is_refused():
    assert pointers(exit={"mode": "address", "address": "10.0.0.1", "prefix": PREFIX}) == ["/exit/prefix"]
    assert pointers(exit={"address": "10.0.0.1"}) == ["/exit/address"]


def test_the_mode_address_needs_one():
    assert pointers(exit={"mode": "address"}) == ["/exit/address"]


def test_a_period_needs_traffic_and_goes_with_it():
    assert pointers(limits={"traffic_period": "day"}) == ["/limits/traffic_period"]
    now = {"limits": {"traffic_bytes": 5, "traffic_period": "day"}}
    assert settled(now, limits={"traffic_bytes": None})["limits"] == {}


def test_what_the_engine_cannot_do_is_refused_by_name():
    assert pointers(engine="3proxy", limits={"traffic_bytes": 5}) == ["/limits/traffic_bytes"]
    assert pointers(engine="3proxy", exit={"mode": "ipv6_session"}) == ["/exit/mode"]
    assert pointers(engine="3proxy", tls=True) == ["/tls"]


def test_an_engine_that_cannot_do_what_is_already_asked_is_refused():
    with pytest.raises(Invalid, match="3proxy cannot"):
        settled({"engine": "3proxy", "limits": {"expires_at": "2030-01-01T00:00:00Z"}})


def test_moments_are_kept_in_utc():
    wish = LimitOptions.model_validate_json('{"expires_at": "2030-01-01T02:00:00+02:00"}')
    assert wish.given() == {"expires_at": "2030-01-01T00:00:00Z"}


def test_a_moment_at_the_end_of_the_calendar_is_refused():
    with pytest.raises(ValueError, match="years 1 to 9999"):
        LimitOptions.model_validate_json('{"expires_at": "9999-12-31T23:59:59-12:00"}')


@pytest.mark.parametrize(
    ("exit_", "lack"),
    [
        ({}, None),
        ({"mode": "address", "address": "10.0.0.1"}, None),
        ({"mode": "address", "address": "10.0.0.2"}, "it has no address 10.0.0.2, only 10.0.0.1"),
        ({"mode": "ipv6_random"}, None),
        ({"mode": "ipv6_random", "prefix": "2001:db8:1:0:8::/80"}, None),
        (
            {"mode": "ipv6_session", "prefix": "2001:db8:2::/64"},
            "2001:db8:2::/64 is in none of its IPv6 prefixes " + PREFIX,
        ),
        ({"mode": "ipv6_random", "prefix": "2001:db8::/32"}, "2001:db8::/32 is in none of its IPv6 prefixes " + PREFIX),
    ],
)
def test_a_node_is_asked_only_for_what_it_has(exit_: dict[str, Any], lack: str | None):
    assert exit_obstacle(exit_, ["10.0.0.1"], [PREFIX]) == lack


def test_a_node_without_prefixes_draws_no_addresses():
    assert "exits.ipv6_prefixes" in str(exit_obstacle({"mode": "ipv6_random"}, [], []))
