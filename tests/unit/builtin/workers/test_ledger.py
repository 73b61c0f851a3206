"""What a worker writes of its proxies' traffic, and what any other worker reads."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.engine.builtin.accounting import ledger as ledger_module
from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger import Ledger
from node.engine.builtin.accounting.ledger_entry import LedgerEntry, key_of, line, read_line, taken_line
from node.engine.builtin.accounting.ledger_file import SUFFIX, LedgerFile
from node.engine.builtin.policy.quota_periods import QuotaUsage

NOW = 1_767_225_600.0
NUMBERS = st.integers(0, 2**63 - 1)
ENTRIES = st.builds(
    LedgerEntry,
    id=st.integers(1, 2**63 - 1),
    epoch=NUMBERS,
    received_bytes=NUMBERS,
    sent_bytes=NUMBERS,
    connections=NUMBERS,
    refused=st.dictionaries(st.text(), NUMBERS, max_size=3),
    spent=st.builds(QuotaUsage, NUMBERS, st.floats(0, 1e10), NUMBERS, st.floats(0, 1e10), NUMBERS),
)

Opened = Callable[[], Ledger]


def entry(id_: int, epoch: int, moved: int, *, total: int | None = None) -> LedgerEntry:
    return LedgerEntry(id_, epoch, moved, 0, 1, {}, QuotaUsage(total=moved if total is None else total))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens ledgers of one directory, as so many workers would."""
    ledgers: list[Ledger] = []

    def another() -> Ledger:
        ledgers.append(Ledger(tmp_path / "usage"))
        return ledgers[-1]

    yield another
    for each in ledgers:
        each.close()


def spent_in(ledger: Ledger, proxy_id: int) -> QuotaUsage:
    ledger.refresh()
    return ledger.spent(proxy_id)


def told(ledger: Ledger) -> list[LedgerEntry]:
    return [found for text in ledger.lines_since(0)[1] if isinstance(found := read_line(text), LedgerEntry)]


@given(ENTRIES)
def test_an_entry_comes_back_as_it_was_written(written: LedgerEntry) -> None:
    text = line(written)
    assert read_line(text) == written
    assert key_of(text) == written.key
    assert b"\n" not in text


@given(ENTRIES, st.data())
def test_a_line_that_breaks_off_is_none(written: LedgerEntry, data: st.DataObject) -> None:
    text = line(written)
    assert read_line(text[: data.draw(st.integers(0, len(text) - 1))]) is None


@given(st.binary() | st.builds(lambda inner: b'{"id":1,"epoch":1,%b}' % inner, st.binary()))
def test_what_is_no_line_is_none_and_never_an_error(text: bytes) -> None:
    assert read_line(text) is None


def test_a_taken_line_names_its_life() -> None:
    assert read_line(taken_line((7, 5))) == (7, 5)
    assert key_of(taken_line((7, 5))) is None


def test_a_proxy_that_comes_to_another_worker_has_spent_what_it_had_spent(opened: Opened) -> None:
    one, other = opened(), opened()
    assert spent_in(other, 7) == QuotaUsage()
    one.write([entry(7, 1, 100), entry(8, 1, 5)])
    assert spent_in(other, 7).total == 100
    one.write([entry(7, 1, 150)])
    assert spent_in(other, 7).total == 150
    other.write([entry(7, 2, 20, total=170)])
    assert spent_in(one, 7).total == 170


def test_what_an_ended_worker_left_is_taken_over_and_told(opened: Opened, tmp_path: Path) -> None:
    one = opened()
    one.write([entry(7, 1, 100), entry(8, 1, 5)])
    one.close()
    other = opened()
    assert told(other) == [entry(7, 1, 100), entry(8, 1, 5)]
    assert spent_in(other, 7).total == 100
    assert len(list(tmp_path.glob(f"usage/*{SUFFIX}"))) == 1


def test_the_file_of_a_worker_that_lives_is_left_alone(opened: Opened) -> None:
    one, other = opened(), opened()
    one.write([entry(7, 1, 100)])
    other.adopt()
    assert told(other) == []
    assert told(one) == [entry(7, 1, 100)]


def test_only_news_is_told(opened: Opened) -> None:
    ledger = opened()
    ledger.write([entry(7, 1, 100), entry(8, 1, 5)])
    since, lines = ledger.lines_since(0)
    assert len(lines) == 2
    assert ledger.lines_since(since) == (since, [])
    ledger.write([entry(8, 1, 6)])
    assert ledger.lines_since(since)[1] == [line(entry(8, 1, 6))]


def test_many_entries_are_told_in_parts(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "ANSWER_MAX", 3)
    ledger, found, since = opened(), list[bytes](), 0
    ledger.write([entry(id_, 1, id_) for id_ in range(1, 9)])
    while (part := ledger.lines_since(since))[1]:
        since = part[0]
        found += part[1]
    assert found == [line(entry(id_, 1, id_)) for id_ in range(1, 9)]


def test_a_life_is_told_until_it_has_ended_and_is_taken_with_its_last_figures(opened: Opened) -> None:
    ledger = opened()
    ledger.write([entry(7, 1, 100)])
    assert not ledger.acknowledge((7, 1), (100, 0, 1))
    ledger.end((7, 1))
    assert not ledger.acknowledge((7, 1), (99, 0, 1))
    assert ledger.acknowledge((7, 1), (100, 0, 1))
    assert told(ledger) == []
    ledger.close()
    after = opened()
    assert told(after) == []
    assert spent_in(after, 7).total == 100


def test_a_file_that_grew_is_written_anew_with_all_that_matters(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ledger_module, "_COMPACT_FROM", 2000)
    ledger, other = opened(), opened()
    ledger.write([entry(1, 1, 10), entry(2, 1, 20)])
    for key in ((1, 1), (2, 1)):
        ledger.end(key)
    assert ledger.acknowledge((1, 1), (10, 0, 1))
    sizes: list[int] = []
    while sizes == sorted(sizes):
        ledger.write([entry(3, 1, len(sizes))])
        assert spent_in(other, 3).total == len(sizes)
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "usage").iterdir()))
        assert len(sizes) < 10_000
    assert [spent_in(other, id_).total for id_ in (1, 2, 3)] == [10, 20, len(sizes) - 1]
    ledger.close()
    assert sorted(each.key for each in told(opened())) == [(2, 1), (3, 1)]


@settings(deadline=None)  # a disk may take its time
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1000)), max_size=20), st.integers(0, 2000))
def test_wherever_writing_breaks_off_the_whole_lines_before_are_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], cut: int
) -> None:
    """A loss of power in the middle of a write: the file ends anywhere."""
    folder = tmp_path_factory.mktemp("ledger")
    lines = [line(entry(id_, 1, moved)) for id_, moved in steps]
    data = b"".join(text + b"\n" for text in lines)[:cut]
    (folder / f"1-1{SUFFIX}").write_bytes(data)
    whole = [read_line(text) for text in data.split(b"\n")[:-1]]
    last = {each.key: each for each in whole if isinstance(each, LedgerEntry)}
    ledger = Ledger(folder)
    assert {each.key: each for each in told(ledger)} == last
    ledger.close()


def test_a_disk_that_is_full_for_a_while_costs_nothing(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened()
    assert ledger.write([entry(7, 1, 100)])
    real = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) > 20:
            return real(fd, data[:20])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", half)
    assert not ledger.write([entry(7, 1, 150)])
    monkeypatch.setattr(os, "write", real)
    assert told(ledger) == [entry(7, 1, 100)]
    assert ledger.write([entry(7, 1, 200)])
    assert spent_in(opened(), 7).total == 200


def test_a_line_of_an_older_life_does_not_hide_what_this_worker_has_counted(opened: Opened) -> None:
    """Two processes had the proxy at once; the one that ends leaves a lower total than the one that goes on."""
    one, other = opened(), opened()
    other.write([entry(7, 2, 500)])
    one.write([entry(7, 1, 100)])
    one.close()
    other.adopt()
    assert spent_in(opened(), 7).total == 500
    assert sorted(each.key for each in told(other)) == [(7, 1), (7, 2)]


def test_a_reader_that_meets_a_take_over_misses_nothing(opened: Opened, tmp_path: Path) -> None:
    """Whatever was read before, the lines are found in the file that they were copied to."""
    one, other, reader = opened(), opened(), opened()
    other.write([entry(9, 1, 1)])
    one.write([entry(7, 1, 100)])
    assert spent_in(reader, 9).total == 1
    one.close()
    other.adopt()
    assert spent_in(reader, 7).total == 100


def test_a_file_in_the_making_is_no_orphan(tmp_path: Path) -> None:
    path = tmp_path / f"1-1{SUFFIX}"
    file = LedgerFile.create(path, [line(entry(7, 1, 1))])
    found = LedgerFile.open(path)
    assert found is not None
    assert not found.take_over()
    file.close()
    assert found.take_over()
    found.close()


def test_nothing_is_written_of_an_account_that_nobody_used() -> None:
    account = Account(7, QuotaUsage(total=5))
    assert account.entry(0, 0, 0, NOW) is None
    account.refuse("login")
    entry = account.entry(0, 0, 0, NOW)
    assert entry is not None
    account.mark_written(entry)
    assert account.entry(0, 0, 0, NOW) is None
    assert account.entry(1, 0, 0, NOW) is not None
