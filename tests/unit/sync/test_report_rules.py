"""The rules for reports: which are implausible, and what the others call for."""

from master.sync.report_rules import DesiredState, ReportDecision, decide
from shared.messages.bodies import Held, Report

WANTED = DesiredState(revision=5, digest="a" * 16, content="b" * 16)
SAME = Report(rev=5, done=5, seen=5, top=3, digest="a" * 16, content="b" * 16, count=2, running=2)


def told(**changes: object) -> ReportDecision:
    return decide(SAME.model_copy(update=changes), WANTED)


def test_a_node_that_is_where_it_should_be_confirms_and_is_left_alone():
    assert told() == ReportDecision(confirmed=5)


def test_a_node_that_has_just_connected_gets_its_list():
    assert told(connected=True) == ReportDecision(check=True, confirmed=5)


def test_another_revision_calls_for_a_list_and_confirms_what_it_reached():
    assert told(rev=4, done=4, digest="c" * 16) == ReportDecision(check=True, confirmed=4)


def test_the_same_revision_with_another_digest_calls_for_a_list_and_confirms_nothing():
    assert told(digest="c" * 16) == ReportDecision(check=True)


def test_a_node_that_still_has_something_to_do_confirms_what_it_has_done():
    assert told(missing=1, done=3, digest="c" * 16) == ReportDecision(check=True, confirmed=3)
    assert told(done=3) == ReportDecision(confirmed=3)


def test_no_more_is_confirmed_than_the_list_that_is_acted_on():
    assert told(rev=4, done=9, digest="c" * 16).confirmed == 4


def test_nothing_is_confirmed_while_a_list_is_held():
    assert told(rev=4, done=4, held=Held(rev=5, stops=20, of=20)).confirmed is None


def test_a_node_that_misses_something_though_it_has_all_that_is_wanted_follows_another_list_and_confirms_nothing():
    assert told(missing=1) == ReportDecision(check=True)


def test_a_node_that_has_seen_more_than_the_database_knows_lifts_it_above():
    assert told(seen=9) == ReportDecision(raise_to=10, above=3)


def test_other_contents_under_the_same_versions_get_new_versions():
    assert told(content="c" * 16) == ReportDecision(renew=True, above=3)
