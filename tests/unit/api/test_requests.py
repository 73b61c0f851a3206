"""What is read out of headers, queries and bodies."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from master.api.requests.query_parameters import repeatable
from master.api.requests.reading import gathered, pointer, read_if_match, read_wait
from master.domain.links.service import stored_filter
from master.domain.locations.schemas import NewLocation
from master.domain.nodes.enrolment.schemas import NewNode
from master.domain.nodes.schemas import NodePatch
from master.domain.proxies.schemas import NewProxy, ProxyFilter, ProxyList
from master.domain.usage.schemas import UsageList
from master.schemas.addresses import node_ip
from master.schemas.cursors import cursor, read_cursor, read_keys
from master.schemas.fields import port_range
from master.schemas.sorting import Position, position_text, read_position
from shared.enrolment.challenge import new_challenge
from shared.proxies import MAX_BIGINT


def complaints(kind: type, **wish: object) -> list[tuple[str, ...]]:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(wish)
    return [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("wait=10", 10),
        ("respond-async, wait=5", 5),
        ('WAIT="7"', 7),
        ("wait=99999", 60),
        ("wait=0", 0),
        ("wait=-1", None),
        ("wait=soon", None),
        ("await=3", None),
        ("wait=3; foo", 3),
    ],
)
def test_prefer_wait_is_read_and_bounded(header: str | None, seconds: int | None):
    assert read_wait(header) == seconds


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (None, None),
        ("*", None),
        ('"5"', {5}),
        ('W/"5", "6"', {5, 6}),
        ("5", {5}),
        ('"abc"', set()),
    ],
)
def test_if_match_is_read(header: str | None, versions: set[int] | None):
    assert read_if_match(header) == versions


def test_pointers_are_escaped_as_rfc_6901_says():
    assert pointer(("labels", "a/b~c", "[key]")) == "/labels/a~1b~0c"


@given(st.integers(0, MAX_BIGINT))
def test_a_cursor_leads_back_to_its_id(last_id: int):
    assert read_cursor(cursor(last_id)) == last_id


@given(st.text(max_size=40))
def test_a_text_that_is_no_cursor_is_refused(text: str):
    with pytest.raises(ValueError, match="no cursor of this list"):
        read_cursor(text)


@pytest.mark.parametrize("text", ["after 5", "YWZ0ZXIgMDU", cursor(5) + "=", cursor(5) + "\n", cursor(2**63)])
def test_a_text_that_is_nearly_a_cursor_is_refused(text: str):
    with pytest.raises(ValueError, match="no cursor of this list"):
        read_cursor(text)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(ProxyList, "limit", "1"), (ProxyList, "after", position_text(Position("id", 1))), (UsageList, "by", "proxy")],
)
def test_a_parameter_given_twice_is_refused(kind: type, name: str, value: str):
    assert complaints(kind, **gathered([(name, value), (name, value)], repeatable(kind))) == [(name,)]


@given(st.tuples(*[st.integers(0, MAX_BIGINT)] * 3))
def test_a_cursor_of_several_keys_leads_back_to_them_and_is_no_cursor_of_another_list(keys: tuple[int, int, int]):
    assert read_keys(cursor(*keys), 3) == keys
    with pytest.raises(ValueError, match="no cursor of this list"):
        read_cursor(cursor(*keys))


def test_a_member_may_be_asked_for_more_than_once():
    pairs = [("label", "a"), ("label", "b:x:y"), ("state", "failed"), ("state", "unknown"), ("not.node_id", "3")]
    asked = ProxyList.model_validate(gathered(pairs, repeatable(ProxyList)))
    assert asked.label == [("a", None), ("b", "x:y")]
    assert (asked.state, asked.not_node_id) == (["failed", "unknown"], [3])


def test_one_value_in_a_body_is_a_list_of_one_and_an_empty_list_is_refused():
    assert ProxyFilter.model_validate_json('{"state": "failed"}', strict=True).state == ["failed"]
    assert complaints(ProxyFilter, state=[]) == [("state",)]


def test_a_filter_is_stored_in_the_form_in_which_it_may_be_sent():
    sent = {"label": ["a", "b:c"], "not.state": ["failed"], "expires_before": "2030-01-31T18:00:00Z"}
    assert stored_filter(ProxyFilter.model_validate(sent)) == sent


@given(st.sampled_from(["id", "-id"]), st.integers(0, MAX_BIGINT))
def test_a_cursor_by_id_leads_back(sort: str, id_: int):
    assert read_position(position_text(Position(sort, id_))) == Position(sort, id_)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100), st.integers(0, 99))
def test_a_cursor_by_name_leads_back(key: str, id_: int):
    assert read_position(position_text(Position("-name", id_, key))) == Position("-name", id_, key)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_cursor_by_time_leads_back_to_the_microsecond(key: datetime):
    assert read_position(position_text(Position("updated_at", 7, key))) == Position("updated_at", 7, key)


@pytest.mark.parametrize(
    "said", ["id 5 x", "id 5", "id -1 ", "id 9223372036854775808 ", "name 5 a\0", "created_at 5 soon", "id 5 \n"]
)
def test_a_text_that_is_nearly_a_cursor_of_a_sorted_list_is_refused(said: str):
    with pytest.raises(ValueError, match="no cursor of this list"):
        read_position(base64.urlsafe_b64encode(said.encode()).decode().rstrip("="))


def test_a_cursor_of_another_order_is_refused():
    assert complaints(ProxyList, sort="name", after=position_text(Position("-name", 5, "x"))) == [("after",)]


@pytest.mark.parametrize("port", ["5", True, 5.0, 0, 65536, -1, 10**30])
def test_a_port_is_a_number_in_its_range_and_nothing_like_it(port: object):
    assert complaints(NewProxy, port=port) == [("port",)]


@pytest.mark.parametrize("text", ["a:b", "a b", "a\x00", "a\n", "", "ü", "a,b"])
def test_a_user_name_that_a_protocol_cannot_carry_is_refused(text: str):
    assert complaints(NewProxy, username=text) == [("username",)]


@pytest.mark.parametrize("text", ["a b", "a\x00", "a\r\n", "", "ü"])
def test_a_password_that_a_protocol_cannot_carry_is_refused(text: str):
    assert complaints(NewProxy, password=text) == [("password",)]


@pytest.mark.parametrize("text", ["", " x", "x ", "a\x00b", "a\nb", "x" * 101])
def test_a_name_has_no_control_characters_and_no_space_around_it(text: str):
    assert complaints(NewLocation, name=text) == [("name",)]


@pytest.mark.parametrize("text", ["node.example", "1.2.3", "169.254.169.254", "224.0.0.1", "0.0.0.0", "fe80::1", "::"])
def test_only_literal_addresses_that_a_node_can_have_are_taken(text: str):
    assert complaints(NewNode, ip=text, challenge=new_challenge()) == [("ip",)]


def test_an_address_is_spelled_canonically():
    assert [node_ip(text) for text in ("::ffff:10.0.0.1", "2001:DB8::0:1")] == ["10.0.0.1", "2001:db8::1"]


@pytest.mark.parametrize("text", ["0-10", "10-9", "1-65536"])
def test_a_range_of_ports_is_one(text: str):
    with pytest.raises(ValueError, match="range of ports"):
        port_range(text)


def test_a_mistyped_challenge_is_refused_and_not_repeated():
    good = new_challenge()
    mistyped = good[:-1] + ("0" if good[-1] != "0" else "1")
    with pytest.raises(ValidationError) as caught:
        NewNode(ip="10.0.0.1", challenge=mistyped)
    assert mistyped not in str(caught.value)


def test_null_is_no_value_for_what_must_be_there():
    assert complaints(NodePatch, name=None, limits=None) == [("name",), ("limits",)]
