"""Records of ports, and the judgements of a deep health check."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.commands.deep_health import compared, counted, worker_problem
from node.commands.port_record import BadPortRecord, read, written
from node.engine.builtin.frames import WorkerName

PORTS = st.sets(st.integers(1, 65_535), max_size=50)


@given(PORTS)
def test_a_record_is_read_as_it_was_written(ports: set[int]):
    assert read(written(ports).encode()) == ports


def test_thousands_of_neighbours_make_a_short_record():
    assert written(range(20_000, 30_000)) == '{"format": 1, "ports": "20000-29999"}\n'


ODD = ["", "[]", "{}", '{"format": 2, "ports": ""}', '{"format": 1, "ports": 5}', "[" * 10_000]
ODD += [json.dumps({"format": 1, "ports": ports}) for ports in ("0", "65536", "2-1", "1-", "-1", "a", "1-999999", "٣")]


@pytest.mark.parametrize("text", ODD)
def test_another_text_is_no_record(text: str):
    with pytest.raises(BadPortRecord):
        read(text.encode())


def test_a_port_that_accepted_before_and_does_not_now_is_a_problem():
    finding = compared(frozenset({1, 2, 3}), [1, 2, 3], {1, 3})
    assert (finding.level, finding.text) == (
        "problem",
        "1 of 3 ports that accepted before do not accept now: 2",
    )


def test_a_port_whose_proxy_was_removed_meanwhile_is_none():
    assert compared(frozenset({1, 2}), [1, 9], {1}).text == "all 1 ports that accepted before accept now"


def test_fewer_ports_than_the_agent_reports_running_are_a_problem():
    assert counted(2, [1, 2, 3], {1}).level == "problem"
    assert counted(2, [1, 2, 3], {1, 2}).level == "ok"


OLD, NEW = WorkerName(0), WorkerName(0, 1)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({OLD: ("serving", "b")}, None),
        ({OLD: ("serving", "a")}, "other code"),
        ({OLD: ("giving", "b"), NEW: ("serving", "b")}, "handover"),
        ({OLD: ("serving", "b"), NEW: ("serving", "b")}, "handover"),
        ({OLD: ("leaving", "a"), NEW: ("serving", "b")}, None),
    ],
)
def test_each_worker_serves_the_installed_code_or_leaves(states: dict[WorkerName, tuple[str, str]], words: str | None):
    problems = [found.text for name in states if (found := worker_problem(name, states, "b")) is not None]
    assert [words is not None and words in text for text in problems] == [True] * (words is not None)
