"""The protocol as a whole: the real decisions of both sides, over a network and a database that misbehave.

MODEL_SEED names the first of the random histories; a failure names the one that fails.
"""

import os
from types import ModuleType

import pytest

from tests.model.exhaustive import Search
from tests.model.mutants import Mutant, by_unit_tests
from tests.model.removals import MUTANTS, TABLE
from tests.model.rules import Rules
from tests.model.weather import history

SEED = int(os.environ.get("MODEL_SEED", "0"))
STEPS = 1_500


def run_histories(count: int) -> None:
    """Raises AssertionError with the seed of the history that broke a promise."""
    for seed in range(SEED, SEED + count):
        try:
            history(Rules(), seed, STEPS)
        except Exception as error:
            raise AssertionError(f"MODEL_SEED={seed}, {STEPS} steps: {error}") from error


def test_no_long_random_history_breaks_a_promise():
    run_histories(40)


@pytest.mark.long
def test_no_long_random_history_breaks_a_promise_in_ten_times_as_many():
    run_histories(400)


def test_no_history_of_two_changes_breaks_a_promise():
    assert Search(Rules(), 2).run() > 4_000
    assert Search(Rules(), 2, split=True).run() > 7_000


@pytest.mark.long
def test_no_history_of_three_changes_breaks_a_promise():
    whole = Search(Rules(), 3).run()
    split = Search(Rules(), 3, split=True).run(200_000)
    assert whole + split >= 300_000


@pytest.mark.parametrize("module", list(TABLE), ids=lambda module: module.__name__)
def test_with_every_rule_in_its_place_no_unit_test_fails(module: ModuleType):
    function = TABLE[module][0][1]
    whole = Mutant("none", module, function, f"def {function}(", f"def {function}(")
    assert by_unit_tests(module, whole.functions()) is None


def test_no_rule_of_the_protocol_can_be_removed_unseen():
    survivors = [mutant.name for mutant in MUTANTS if mutant.caught_by() is None]
    assert survivors == []
