"""Times are RFC 3339 with a time and an offset, and whatever else looks like one is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.schemas.timestamps import read_timestamp, rfc_3339

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T18:00:00Z", "2030-01-31T18:00:00Z"),
        ("2030-01-31t18:00:00z", "2030-01-31T18:00:00Z"),
        ("2030-01-31T18:00:00+02:00", "2030-01-31T16:00:00Z"),
        ("2030-01-31T18:00:00-00:00", "2030-01-31T18:00:00Z"),
        ("2030-01-31T18:00:00+23:59", "2030-01-30T18:01:00Z"),
        ("2030-01-31T18:00:00.5Z", "2030-01-31T18:00:00.500000Z"),
        ("2030-01-31T18:00:00.123456789Z", "2030-01-31T18:00:00.123456Z"),
        ("2030-12-31T23:59:60Z", "2031-01-01T00:00:00Z"),
        ("2031-01-01T01:59:60.9+02:00", "2031-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_read_as_rfc_3339_says(text: str, moment: str):
    assert rfc_3339(read_timestamp(text)) == moment


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("20300101", "a number is not a time"),
        ("2030", "a number is not a time"),
        ("1900000000", "a number is not a time"),
        ("-1", "a number is not a time"),
        ("1.9e9", "not a time"),
        (1900000000, "a time is a text"),
        (True, "a time is a text"),
        (None, "a time is a text"),
        ("2030-01-31", "a date alone is not a time"),
        ("2030-01-31T18:00:00", "the offset from UTC is missing"),
        ("2030-01-31 18:00:00Z", "separated by T"),
        ("2030-01-31T18:00:00 02:00", "written %2B"),
        ("20300131T180000Z", "not a time"),
        ("2030-01-31T18:00Z", "not a time"),
        ("2030-01-31T18:00:00+0200", "not a time"),
        ("2030-01-31T18:00:00+24:00", "not a time"),
        ("2030-01-31T18:00:00+02:60", "not a time"),
        ("2030-01-31T18:00:00.Z", "not a time"),
        ("2030-01-31T18:00:00,5Z", "not a time"),
        ("2030-W05-4T18:00:00Z", "not a time"),
        ("+2030-01-31T18:00:00Z", "not a time"),
        ("12030-01-31T18:00:00Z", "not a time"),
        (" 2030-01-31T18:00:00Z", "not a time"),
        ("2030-01-31T18:00:00Z\n", "not a time"),
        ("٢٠٣٠-01-31T18:00:00Z", "not a time"),
        ("2030-01-31T18:00:00\N{MINUS SIGN}02:00", "not a time"),
        ("2030-01-31T18:00:00." + "1" * 100 + "Z", "not a time"),
        ("now", "not a time"),
        ("", "not a time"),
        ("2030-02-30T18:00:00Z", "no such time"),
        ("2030-01-31T24:00:00Z", "no such time"),
        ("2030-01-31T18:00:61Z", "no such time"),
        ("2030-01-15T23:59:60Z", "no such time"),
        ("2030-01-31T18:00:60Z", "no such time"),
        ("0000-01-31T18:00:00Z", "no such time"),
        ("0001-01-01T00:00:00+00:01", "no such time"),
        ("9999-12-31T23:59:59-00:01", "no such time"),
        ("9999-12-31T23:59:60Z", "no such time"),
    ],
)
def test_whatever_else_looks_like_a_time_is_refused_in_words(said: object, words: str):
    with pytest.raises(ValueError, match=words):
        read_timestamp(said)


@given(MOMENTS)
def test_a_time_in_any_offset_is_the_same_moment_in_utc(moment: datetime):
    assert read_timestamp(moment.isoformat()) == moment
    assert read_timestamp(moment.isoformat()).tzinfo is UTC


@given(MOMENTS)
def test_the_spelling_that_is_stored_is_read_as_the_same_moment(moment: datetime):
    stored = rfc_3339(moment.astimezone(UTC))
    assert rfc_3339(read_timestamp(stored)) == stored


@given(st.text(max_size=30))
def test_no_text_is_read_as_a_time_unless_it_looks_like_one(text: str):
    try:
        read_timestamp(text)
    except ValueError:
        return
    assert text[4:5] == "-"
    assert text[10:11] in "Tt"
