"""No proxy is open, and logins are drawn where none is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.proxies.schemas import NewProxy
from master.domain.proxies.settings import new_settings, patched_settings
from master.errors import Invalid

SETTINGS = {
    "name": None,
    "port": 20000,
    "protocol": "mixed",
    "username": "ann",
    "password": "secret",
    "allow_ips": [],
    "engine": "builtin",
    "tls": False,
    "exit": {},
    "destinations": {},
    "limits": {},
    "rotation": {},
    "enabled": True,
    "labels": {"a": "1", "b": "2"},
}
logins = st.fixed_dictionaries(
    {},
    optional={
        "username": st.none() | st.just("bob"),
        "password": st.just("word"),
        "allow_ips": st.sampled_from([[], ["10.0.0.0/8"]]),
    },
)


def pointer(error: Invalid) -> str:
    return error.members["errors"][0]["pointer"]


def test_without_login_and_networks_both_are_drawn():
    made = new_settings(NewProxy(location_id=1))
    assert len(made["username"]) >= 8
    assert len(made["password"]) >= 16


def test_two_drawn_passwords_differ():
    assert new_settings(NewProxy())["password"] != new_settings(NewProxy())["password"]


def test_networks_alone_need_no_login():
    made = new_settings(NewProxy(allow_ips=["10.0.0.0/8"]))
    assert (made["username"], made["password"]) == (None, None)


def test_a_user_name_without_a_password_gets_one():
    assert len(new_settings(NewProxy(username="ann"))["password"]) >= 16


def test_a_password_without_a_user_name_gets_one():
    made = new_settings(NewProxy(password="word"))
    assert made["password"] == "word"
    assert len(made["username"]) >= 8


def test_no_user_name_on_purpose_needs_networks():
    with pytest.raises(Invalid) as caught:
        new_settings(NewProxy(username=None))
    assert pointer(caught.value) == "/allow_ips"


def test_no_user_name_on_purpose_has_no_password():
    with pytest.raises(Invalid) as caught:
        new_settings(NewProxy(username=None, password="word", allow_ips=["10.0.0.0/8"]))
    assert pointer(caught.value) == "/password"


def test_taking_the_user_name_away_takes_the_password_too():
    after = patched_settings(SETTINGS, {"username": None, "allow_ips": ["10.0.0.0/8"]})
    assert (after["username"], after["password"]) == (None, None)


def test_labels_are_merged_and_null_removes():
    assert patched_settings(SETTINGS, {"labels": {"a": None, "c": "3"}})["labels"] == {"b": "2", "c": "3"}


@given(logins, logins)
def test_whatever_is_asked_no_proxy_is_open_or_has_half_a_login(wish: dict[str, object], changes: dict[str, object]):
    try:
        made = new_settings(NewProxy.model_validate(wish))
        after = patched_settings(made, changes)
    except Invalid:
        return
    for one in (made, after):
        assert one["username"] or one["allow_ips"]
        assert (one["username"] is None) == (one["password"] is None)
