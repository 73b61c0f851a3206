"""What a worker makes of the values that another one hands over as JSON."""

import json

import pytest

from node.engine.builtin.worker.handover.taker import read_levels, read_sessions

SESSIONS = [("a1", "2001:db8::1"), ("b2", "2001:db8::2")]


def test_sessions_are_the_same_pairs_on_either_side_of_the_wire() -> None:
    assert read_sessions(json.loads(json.dumps(SESSIONS))) == SESSIONS


@pytest.mark.parametrize("levels", [None, (0.0, -1500.5), (65_536.0, 0.0)])
def test_levels_are_the_same_on_either_side_of_the_wire(levels: tuple[float, float] | None) -> None:
    assert read_levels(json.loads(json.dumps(levels))) == levels


@pytest.mark.parametrize(
    "told", [None, 1, "ab", {}, [["a1"]], [["a1", 2]], ["ab"], [["a", "b", "c"]], [{"a": 1, "b": 2}]]
)
def test_what_are_no_sessions_is_refused_by_a_word(told: object) -> None:
    with pytest.raises(ValueError, match="sessions"):
        read_sessions(told)


@pytest.mark.parametrize("told", [1, "ab", [], [1], [1, 2, 3], [1, "2"], {"0": 1, "1": 2}])
def test_what_are_no_levels_is_refused_by_a_word(told: object) -> None:
    with pytest.raises(ValueError, match="levels"):
        read_levels(told)
