"""Points in time as the API takes and shows them: RFC 3339 with a time and an offset, and nothing else. Pure.

Lower-case t and z, any number of fractional digits (beyond microseconds they are cut) and -00:00 are RFC 3339. A leap
second is the first moment of the next day, and is only known at the end of a month in UTC. A space instead of the T,
a date alone, a time without an offset, and numbers are refused.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

EXAMPLE = "2030-01-31T18:00:00Z"
MOST_LETTERS = 64

DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
TIME = r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
OFFSET = r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
RFC_3339 = re.compile(f"{DATE}[Tt]{TIME}{OFFSET}")


def read_timestamp(said: object) -> datetime:
    """The moment in UTC. Raises ValueError with the part that is missing."""
    if not isinstance(said, str):
        raise ValueError(f'a time is a text in RFC 3339, such as "{EXAMPLE}"')
    match = RFC_3339.fullmatch(said) if len(said) <= MOST_LETTERS else None
    if match is None:
        raise ValueError(f"{why_not_rfc_3339(said)}; write it as in {EXAMPLE} or 2030-01-31T18:00:00+02:00 (RFC 3339)")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    is_leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, 59 if is_leap else second, micros(match[7]), zone(match))
        return after_leap(moment.astimezone(UTC)) if is_leap else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time in the years 1 to 9999 (UTC)") from error


def why_not_rfc_3339(text: str) -> str:
    """Explain why the text is not an RFC 3339 time, by the mistakes that people are likely to make."""
    if re.fullmatch(r"[+-]?[0-9.]+", text):
        return "a number is not a time"
    if re.fullmatch(DATE, text):
        return "a date alone is not a time: add the time and the offset"
    if re.fullmatch(rf"{DATE}[Tt ]{TIME}", text):
        return "the offset from UTC is missing: end with Z or an offset"
    if re.fullmatch(rf"{DATE}[Tt]{TIME} [0-9]{{2}}:[0-9]{{2}}", text):
        return "the offset has no sign: in a query string a + is written %2B"
    if re.fullmatch(rf"{DATE} {TIME}{OFFSET}", text):
        return "date and time are separated by T"
    return "not a time in RFC 3339"


def micros(digits: str | None) -> int:
    """Convert a fraction of a second to microseconds, and cut finer digits."""
    return int((digits or "")[:6].ljust(6, "0"))


def zone(match: re.Match[str]) -> timezone:
    """The offset; -00:00 is UTC."""
    if match[8] is None:
        return UTC
    offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
    return timezone(-offset if match[8] == "-" else offset)


def after_leap(before: datetime) -> datetime:
    """The first moment after a leap second, given its last second before. Raises ValueError where there is none."""
    after = before.replace(microsecond=0) + timedelta(seconds=1)
    if (after.day, after.hour, after.minute, after.second) != (1, 0, 0, 0):
        raise ValueError("no leap second")
    return after


def rfc_3339(moment: datetime) -> str:
    """The spelling that is stored and shown: 2026-11-22T20:00:00Z."""
    return moment.isoformat().replace("+00:00", "Z")


SCHEMA = WithJsonSchema({"type": "string", "format": "date-time", "examples": [EXAMPLE]})
LenientTimestamp = Annotated[datetime, PlainValidator(read_timestamp), SCHEMA]
Timestamp = Annotated[LenientTimestamp, PlainSerializer(rfc_3339, return_type=str)]
"""A moment that is stored as text."""
