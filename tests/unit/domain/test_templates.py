"""What a stack's template says, and what another one makes of its proxies."""

from typing import Any

import pytest

from master.domain.stacks.schemas import StackProxy, StackProxyPatch
from master.domain.stacks.template import (
    Template,
    draw_login,
    errors_in_proxy,
    patched_template,
    placement,
    proxy_settings,
    reapply_template,
    template_from,
)
from master.errors import Invalid


def template(**said: Any) -> Template:
    return template_from(StackProxy.model_validate({"location_id": 1, **said}))


def changed(before: Template, **said: Any) -> Template:
    return patched_template(before, StackProxyPatch.model_validate(said))


def proxy(of: Template, **own: Any) -> dict[str, Any]:
    return {**proxy_settings(of), "name": None, "port": 20000, **own}


def test_a_template_is_kept_as_it_can_be_said_again():
    said = template(limits={"connections": 5}, exit={"mode": "ipv6_session"}, username="ann", password="secret")
    assert template_from(StackProxy.model_validate(said)) == said


def test_what_means_the_same_is_kept_the_same():
    assert template(exit={"mode": "default"}, limits={"traffic_period": "total"}) == template()


def test_one_location_is_a_list_of_one():
    assert placement(StackProxy(location_id=1)) == placement(StackProxy(location_ids=[1])) == {"location_ids": [1]}


def test_the_order_of_places_says_nothing():
    assert placement(StackProxy(node_ids=[3, 1, 3])) == {"node_ids": [1, 3]}


def test_two_ways_to_name_locations_at_once_are_refused():
    with pytest.raises(ValueError, match="not both"):
        StackProxy(location_id=1, location_ids=[2])


def test_a_login_that_is_not_said_is_drawn_for_each():
    assert draw_login(template()) != draw_login(template())


def test_a_login_that_is_said_is_shared():
    assert draw_login(template(username="ann", password="secret")) == ("ann", "secret")


def test_a_shared_name_with_passwords_of_their_own():
    name, password = draw_login(template(username="ann"))
    assert (name, len(password or "")) == ("ann", 20)


def test_networks_without_a_login_need_none():
    assert draw_login(template(allow_ips=["10.0.0.0/8"])) == (None, None)


def test_what_is_refused_is_pointed_at_inside_the_template():
    with pytest.raises(Invalid) as refused, errors_in_proxy():
        template(password="secret", username=None)
    assert refused.value.members["errors"][0]["pointer"] == "/proxy/password"


def test_a_change_is_merged():
    before = template(labels={"a": "1", "b": "2"}, limits={"connections": 5})
    after = changed(before, labels={"a": None, "c": "3"}, limits={"bandwidth_bps": 8000})
    assert after["labels"] == {"b": "2", "c": "3"}
    assert after["limits"] == {"connections": 5, "bandwidth_bps": 8000}


def test_a_change_of_places_leaves_the_rest():
    before = template(protocol="http")
    assert changed(before, node_ids=[2], location_ids=None) == {
        **{name: value for name, value in before.items() if name != "location_ids"},
        "node_ids": [2],
    }


def test_a_change_of_one_thing_leaves_logins_to_be_drawn():
    assert changed(template(), enabled=False) == {**template(), "enabled": False}


def test_proxies_become_what_the_template_says_anew():
    before, after = template(), template(protocol="http", limits={"connections": 5}, labels={"a": "1"})
    own = proxy(before)
    assert reapply_template(own, before, after) == {
        **own,
        "protocol": "http",
        "limits": {"connections": 5},
        "labels": {"a": "1"},
    }


def test_what_a_proxy_has_of_its_own_stays_until_the_template_says_otherwise_of_it():
    before = template(limits={"connections": 5, "bandwidth_bps": 8000}, labels={"a": "1"})
    own = proxy(before, protocol="http", limits={"connections": 9}, labels={"a": "x", "mine": "y"})
    after = changed(before, limits={"bandwidth_bps": 9000}, labels={"b": "2"})
    now = reapply_template(own, before, after)
    assert (now["protocol"], now["limits"]) == ("http", {"connections": 9, "bandwidth_bps": 9000})
    assert now["labels"] == {"a": "x", "mine": "y", "b": "2"}


def test_an_exit_is_taken_over_as_a_whole():
    before, after = template(), template(exit={"mode": "ipv6_random"})
    assert reapply_template(proxy(before, exit={"mode": "address", "address": "10.0.0.1"}), before, after)["exit"] == {
        "mode": "ipv6_random"
    }


def test_a_login_that_becomes_shared_is_every_proxys():
    before, after = template(), template(username="ann", password="secret")
    now = reapply_template(proxy(before), before, after)
    assert (now["username"], now["password"]) == ("ann", "secret")


def test_a_login_that_is_no_longer_shared_is_drawn_anew():
    before = template(username="ann", password="secret")
    one, other = (reapply_template(proxy(before), before, template()) for _ in range(2))
    assert len({one["username"], other["username"], "ann"}) == 3
    assert len({one["password"], other["password"], "secret"}) == 3


def test_another_shared_name_leaves_each_its_password():
    before, after = template(username="ann"), template(username="bob")
    own = proxy(before)
    assert reapply_template(own, before, after) == {**own, "username": "bob"}


def test_a_login_is_taken_away_where_networks_are_enough():
    before, after = template(), template(username=None, allow_ips=["10.0.0.0/8"])
    now = reapply_template(proxy(before), before, after)
    assert (now["username"], now["password"]) == (None, None)


def test_a_proxy_whose_own_settings_are_at_odds_with_the_template_is_refused():
    before = template()
    with pytest.raises(Invalid):
        reapply_template(proxy(before, limits={"traffic_bytes": 5}), before, template(engine="3proxy"))
