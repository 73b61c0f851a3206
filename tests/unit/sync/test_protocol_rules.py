"""Short histories that the model of the protocol found, each told as the promise that it broke."""

from dataclasses import replace

from master.sync.report_rules import DesiredState, decide
from node.state.local_copy import LocalCopy, on_list, on_records
from shared.messages.assembly import assemble
from shared.messages.bodies import CheckSync, Header, Held, Report, SyncItem

WANTED = DesiredState(revision=5, digest="a" * 16, content="b" * 16)
SAME = Report(rev=5, seen=5, top=3, digest="a" * 16, content="b" * 16, count=20, running=20)


def header(rev: int, confirm: int = 0) -> Header:
    return Header(v=1, cluster="c", node=1, rev=rev, confirm=((rev, confirm),) if confirm else ())


def item(id_: int, version: int, content: int) -> SyncItem:
    raw = {"id": id_, "version": version, "content": content, "protocol": "http", "port": 20000 + id_}
    return SyncItem(id=id_, version=version, content=content, raw={**raw, "username": "u", "password": "p"})


def copy_of(rev: int, count: int) -> LocalCopy:
    copy = LocalCopy()
    copy.take(on_list(copy, header(rev), [(id_, 1) for id_ in range(1, count + 1)]))
    copy.take(on_records(copy, header(rev), [item(id_, 1, id_) for id_ in range(1, count + 1)]))
    return copy


def test_what_was_removed_on_purpose_does_not_make_most_of_the_rest_few():
    copy = copy_of(1, 100)
    change = on_list(copy, header(3, confirm=60), [(1, 1)])
    assert change.verdict == "held"


def test_a_removal_on_purpose_beside_a_small_mistake_is_not_held():
    copy = copy_of(1, 100)
    assert on_list(copy, header(3, confirm=60), [(id_, 1) for id_ in range(1, 31)]).verdict == "taken"


def test_other_contents_under_the_version_that_is_held_are_left_for_the_report_to_tell():
    copy = copy_of(5, 1)
    assert on_records(copy, header(6), [item(1, 1, 77)]).put == ()
    assert copy.digests() == copy_of(5, 1).digests()


def test_a_node_that_has_the_right_records_but_wants_others_gets_its_list():
    assert decide(SAME.model_copy(update={"missing": 1}), WANTED).check


def test_a_node_that_has_the_right_records_but_holds_back_a_list_gets_its_list():
    assert decide(SAME.model_copy(update={"held": Held(rev=5, stops=20, of=20)}), WANTED).check


def test_what_is_listed_counts_as_the_highest_version_before_its_record_has_come():
    copy = copy_of(1, 1)
    copy.take(on_list(copy, header(2), [(1, 7)]))
    assert copy.top == 7


def test_a_record_that_is_ahead_of_the_list_counts_as_the_highest_version():
    copy = copy_of(1, 1)
    copy.take(on_records(copy, header(3), [item(1, 5, 50)]))
    assert copy.top == 5


def test_a_list_that_stops_less_than_half_is_not_held():
    copy = copy_of(1, 100)
    assert on_list(copy, header(2), [(id_, 1) for id_ in range(1, 61)]).verdict == "taken"


def test_the_last_record_that_ran_is_kept_beside_its_successor():
    copy = copy_of(1, 1)
    copy.proxies[1] = replace(copy.proxies[1], good=copy.proxies[1].record)
    (stored,) = on_records(copy, header(2), [item(1, 2, 20)]).put
    assert stored.good == copy.proxies[1].record


def test_parts_under_one_name_but_of_two_revisions_make_no_list():
    begun, _ = assemble({}, "", Header(v=1, cluster="c", node=1, rev=1, part=1, parts=2), CheckSync(pairs=((1, 1),)))
    _, pairs = assemble(begun, "", Header(v=1, cluster="c", node=1, rev=2, part=2, parts=2), CheckSync(pairs=()))
    assert pairs is None
