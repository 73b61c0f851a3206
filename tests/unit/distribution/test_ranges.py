"""Conditional and partial requests of downloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.distribution.downloads.ranges import Selection, select

TAG = '"abc"'


def answered(range_: str | None = None, *, size: int = 1000, none: str | None = None, if_range: str | None = None):
    return select(size, TAG, if_none_match=none, range_=range_, if_range=if_range)


WHOLE = Selection(200, 0, 1000)


@pytest.mark.parametrize(
    ("field", "selection"),
    [
        ("bytes=0-0", Selection(206, 0, 1)),
        ("bytes=0-", Selection(206, 0, 1000)),
        ("bytes=999-", Selection(206, 999, 1000)),
        ("bytes=500-99999999", Selection(206, 500, 1000)),
        ("bytes=-1", Selection(206, 999, 1000)),
        ("bytes=-5000", Selection(206, 0, 1000)),
        (" bytes= 5-9 ", Selection(206, 5, 10)),
        ("bytes=1000-", Selection(416)),
        ("bytes=-0", Selection(416)),
        ("bytes=9-5", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=1-2-3", WHOLE),
        ("bytes=-1-", WHOLE),
        ("bytes=+1-2", WHOLE),
        ("bytes=٣-5", WHOLE),
        ("bytes=" + "9" * 5000 + "-", WHOLE),
        ("items=0-5", WHOLE),
        ("", WHOLE),
        (None, WHOLE),
    ],
)
def test_a_range_selects_its_bytes_and_an_unreadable_one_the_whole_file(field: str | None, selection: Selection):
    assert answered(field) == selection


@given(st.text(max_size=40) | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), st.integers(0, 2000))
def test_any_range_stays_within_the_file(field: str, size: int) -> None:
    found = answered(field, size=size)
    assert 0 <= found.start <= found.stop <= size
    assert (found.status == 206) == (found.start < found.stop and found.status not in (200, 304))


@pytest.mark.parametrize("field", [TAG, f"W/{TAG}", "*", f'"x", {TAG}', f'W/"x" , W/{TAG}'])
def test_a_client_that_has_the_file_gets_304_whatever_range_it_names(field: str) -> None:
    assert answered("bytes=0-1", none=field).status == 304


@pytest.mark.parametrize("field", ['"x"', "abc", '"abcd"', ""])
def test_another_tag_is_no_reason_for_304(field: str) -> None:
    assert answered(none=field).status == 200


@pytest.mark.parametrize(("field", "status"), [(TAG, 206), ('"x"', 200), ("W/" + TAG, 200), ("Mon, 30 Nov 2026", 200)])
def test_a_range_counts_only_for_the_file_that_if_range_names(field: str, status: int) -> None:
    assert answered("bytes=1-2", if_range=field).status == status
