"""Each rule of the local copy, alone."""

from node.state.local_copy import CopyChange, LocalCopy, on_list, on_records
from shared.messages.bodies import AGREED, Header, SyncItem

CLUSTER = "c"


def header(rev: int, confirm: int = 0) -> Header:
    return Header(v=1, cluster=CLUSTER, node=1, rev=rev, confirm=((rev, confirm),) if confirm else ())


def item(id_: int, version: int, port: int = 20000, **more: object) -> SyncItem:
    raw = {"id": id_, "version": version, "content": version * 10, "protocol": "http", "port": port, "username": "u"}
    return SyncItem(id=id_, version=version, content=version * 10, raw={**raw, "password": "p", **more})


def copy_at(rev: int, versions: dict[int, int]) -> LocalCopy:
    copy = LocalCopy()
    copy.take(on_list(copy, header(rev), versions.items()))
    copy.take(on_records(copy, header(rev), [item(id_, version) for id_, version in versions.items()]))
    return copy


def held(copy: LocalCopy) -> dict[int, int]:
    return {id_: stored.version for id_, stored in copy.proxies.items()}


def taken(copy: LocalCopy, change: CopyChange) -> LocalCopy:
    copy.take(change)
    return copy


def test_a_list_says_what_is_missing_and_the_old_version_stays_until_the_new_one_comes():
    copy = copy_at(1, {1: 1, 2: 1})
    copy.take(on_list(copy, header(2), [(1, 2), (2, 1), (3, 1)]))
    assert copy.missing() == [1, 3]
    assert held(copy) == {1: 1, 2: 1}


def test_a_list_stops_what_it_does_not_name():
    copy = copy_at(1, {1: 1, 2: 1})
    change = on_list(copy, header(2), [(2, 1)])
    assert change.drop == {1}
    assert held(taken(copy, change)) == {2: 1}


def test_a_late_list_changes_nothing():
    copy = copy_at(5, {1: 1})
    change = on_list(copy, header(4), [])
    assert change.verdict == "stale"
    assert held(taken(copy, change)) == {1: 1}


def test_an_empty_list_stops_everything_when_there_is_little():
    copy = copy_at(1, dict.fromkeys(range(1, 11), 1))
    assert held(taken(copy, on_list(copy, header(2), []))) == {}


def test_a_shrunken_list_is_held_and_reported_but_not_acted_on():
    copy = copy_at(1, dict.fromkeys(range(1, 21), 1))
    copy.take(on_list(copy, header(2), [(i, 1) for i in range(1, 10)]))
    assert len(held(copy)) == 20
    assert copy.held is not None
    assert (copy.held.rev, copy.held.stops, copy.held.of) == (2, 11, 20)
    assert (copy.rev, copy.seen) == (1, 2)


def test_a_shrunken_list_is_taken_when_the_master_says_that_it_is_on_purpose():
    copy = copy_at(1, dict.fromkeys(range(1, 21), 1))
    copy.take(on_list(copy, header(2, confirm=20), []))
    assert held(copy) == {}
    assert copy.held is None


def test_what_was_removed_on_purpose_does_not_let_an_accident_pass():
    copy = copy_at(1, dict.fromkeys(range(1, 41), 1))
    assert on_list(copy, header(2, confirm=5), []).verdict == "held"


def test_a_removal_that_was_taken_already_does_not_let_an_accident_pass():
    copy = copy_at(5, dict.fromkeys(range(1, 21), 1))
    late = Header(v=1, cluster=CLUSTER, node=1, rev=6, confirm=((5, 20),))
    assert on_list(copy, late, []).verdict == "held"


def test_a_record_that_is_not_wanted_is_dropped():
    copy = copy_at(1, {1: 1})
    assert on_records(copy, header(1), [item(9, 1)]).put == ()


def test_a_late_record_does_not_bring_an_older_version_back():
    copy = copy_at(5, {1: 3})
    assert on_records(copy, header(4), [item(1, 2)]).put == ()
    assert on_records(copy, header(5), [item(1, 3)]).put != ()


def test_a_record_read_before_our_list_is_good_only_for_what_the_list_wants():
    copy = copy_at(5, {1: 3})
    copy.take(on_list(copy, header(6), [(1, 4), (2, 1)]))
    assert [stored.id for stored in on_records(copy, header(5), [item(1, 4), item(2, 2)]).put] == [1]


def test_a_record_read_after_our_list_is_taken_although_the_list_wants_another_version():
    copy = copy_at(5, {1: 3})
    copy.take(on_records(copy, header(7), [item(1, 4)]))
    assert held(copy) == {1: 4}
    assert copy.seen == 7


def test_what_somebody_agreed_to_passes_also_at_the_revision_that_is_held():
    """A node may hold another list of the same revision: of a past that a restored database took back."""
    copy = copy_at(2, dict.fromkeys(range(1, 21), 1))
    assert on_list(copy, header(2), []).verdict == "held"
    agreed = Header(v=1, cluster=CLUSTER, node=1, rev=2, confirm=AGREED)
    assert held(taken(copy, on_list(copy, agreed, []))) == {}


def test_a_record_read_before_the_one_that_is_held_is_dropped_even_if_it_is_newer_than_the_list():
    copy = copy_at(5, {1: 3})
    copy.take(on_records(copy, header(9), [item(1, 4)]))
    assert on_records(copy, header(8), [item(1, 5)]).put == ()


def test_a_restored_database_may_bring_a_lower_version():
    copy = copy_at(5, {1: 3})
    copy.take(on_list(copy, header(6), [(1, 2)]))
    copy.take(on_records(copy, header(6), [item(1, 2)]))
    assert held(copy) == {1: 2}
    assert copy.top == 3


def test_a_record_that_cannot_be_read_is_remembered_as_refused_and_not_asked_for_again():
    copy = copy_at(1, {1: 1})
    good = copy.proxies[1].record
    copy.take(on_list(copy, header(2), [(1, 2)]))
    copy.take(on_records(copy, header(2), [item(1, 2, port=99999)]))
    assert copy.missing() == []
    assert copy.proxies[1].record is None
    assert "port" in copy.proxies[1].refusal
    assert good is not None


def test_a_refusal_does_not_repeat_a_secret():
    copy = copy_at(1, {1: 1})
    copy.take(on_records(copy, header(2), [item(1, 2, password="geheim\n")]))
    assert "geheim" not in copy.proxies[1].refusal


def test_the_same_message_twice_is_the_same_as_once():
    copy = copy_at(1, {1: 1, 2: 1})
    for _ in range(2):
        copy.take(on_list(copy, header(2), [(2, 2)]))
        copy.take(on_records(copy, header(2), [item(2, 2)]))
    assert held(copy) == {2: 2}
    assert copy.rev == 2


def test_the_nodes_address_is_that_of_the_newest_list():
    copy = copy_at(5, {1: 1})
    for rev, said in ((6, "203.0.113.7"), (4, "203.0.113.8"), (6, "")):
        copy.take(on_list(copy, header(rev).model_copy(update={"ip": said}), [(1, 1)]))
        assert copy.ip == "203.0.113.7"
    copy.take(on_list(copy, header(7).model_copy(update={"ip": "203.0.113.9"}), [(1, 1)]))
    assert copy.ip == "203.0.113.9"
