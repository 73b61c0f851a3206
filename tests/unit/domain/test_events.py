"""Along which index the log is read, and how touches are merged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.events.schemas import TYPES, EventFilter
from master.domain.events.touches import (
    EVERYTHING,
    KINDS,
    MOST_IDS,
    MOST_NODES,
    PendingTouches,
    ReportTouch,
    all_proxies_of,
    both_pending,
    frames,
    merged,
    payload_of,
    read_payload,
)

IDS = st.none() | st.frozensets(st.integers(1, 1_000), max_size=MOST_IDS)
TOUCHED = st.dictionaries(st.sampled_from(KINDS), IDS)


@pytest.mark.parametrize(
    ("types", "members", "along"),
    [
        ([], {}, "id"),
        (["node.*"], {}, "type"),
        (["node.*"], {"actor": "api"}, "type"),
        (["node.*"], {"node_id": 1, "location_id": 2}, "node_id"),
        ([], {"proxy_id": 1, "request_id": "r"}, "request_id"),
    ],
)
def test_the_log_is_read_along_the_member_that_few_events_share(types: list[str], members: dict[str, int], along: str):
    assert EventFilter(frozenset(types), members).along == along


def test_a_pattern_stands_for_all_types_of_its_kind():
    found = EventFilter(frozenset({"link.*", "node.online"}), {}).exact_types
    assert found == [type_ for type_ in TYPES if type_.startswith("link.") or type_ == "node.online"]


@given(st.lists(TOUCHED, max_size=5))
def test_merged_touches_name_all_that_was_touched_or_that_it_was_too_much(touches: list[dict[str, frozenset[int]]]):
    both = merged(touches)
    for kind in KINDS:
        named = [touched[kind] for touched in touches if kind in touched]
        all_ids = None if None in named else frozenset[int]().union(*named)
        expected = None if all_ids is None or len(all_ids) > MOST_IDS else all_ids
        assert both.get(kind, frozenset()) == expected


def test_a_payload_is_less_than_postgresql_passes_on():
    for ids in (range(MOST_IDS), range(MOST_IDS + 1), range(2**63 - MOST_IDS, 2**63)):
        assert len(payload_of("proxies", ids)) < 8_000
    assert len(json.loads(payload_of("proxies", range(MOST_IDS)))["ids"]) == MOST_IDS


@pytest.mark.parametrize("text", ["", "7", '{"kind": "moons", "ids": []}', '{"node_id": 7}'])
def test_a_payload_that_cannot_be_read_touches_everything(text: str):
    assert read_payload(text).named == EVERYTHING


def test_reports_of_a_node_are_merged_and_those_of_very_many_nodes_touch_everything():
    one, other = (ReportTouch(node_id=7, after=after, until=until) for after, until in ((3, 5), (5, 9)))
    pending = both_pending(read_payload(one.model_dump_json()), read_payload(other.model_dump_json()))
    assert pending.reports == {7: (3, 9)}
    pending = PendingTouches(reports=dict.fromkeys(range(MOST_NODES), (1, 2)))
    assert both_pending(pending, read_payload(all_proxies_of(MOST_NODES))).named == EVERYTHING


def test_a_touch_is_a_message_without_an_id_for_each_kind():
    assert frames({"proxies": frozenset({2, 1}), "nodes": None}) == (
        b'event: touched\ndata: {"kind": "nodes", "ids": null}\n\n'
        b'event: touched\ndata: {"kind": "proxies", "ids": [1, 2]}\n\n'
    )
