"""Reads what a request says: its body, its query string and its headers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from litestar import Request
from litestar.exceptions import ClientException, HTTPException
from litestar.params import PathParameter
from pydantic import ValidationError

from master.errors import Invalid
from master.questions import Question
from master.wishes import Wish
from shared.complaints import complaint
from shared.proxies import MAX_BIGINT

JSON_TYPES = ("application/json", "application/merge-patch+json")
MOST_WAIT_S = 60
MOST_KEY_LETTERS = 255

MANY = ("label", "type")
"""Parameters that may be said more than once."""

PathId = Annotated[int, PathParameter(ge=1, le=MAX_BIGINT)]

Asked = Request[Any, Any, Any]
W = TypeVar("W", bound=Wish)
Q = TypeVar("Q", bound=Question)


async def read_body(request: Asked, kind: type[W]) -> W:
    """The body. Raises 413, 415, 400 for what is no JSON, and Invalid for JSON that says something impossible."""
    raw = await request.body()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES:
        detail = "send JSON, with the header content-type: application/json"
        raise HTTPException(detail=detail, status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise refused(error) from error


def refused(error: ValidationError) -> Exception:
    """What is wrong with a body, by JSON pointers (RFC 6901), without what was sent."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return ClientException(detail="the body is no JSON")
    complaints = [{"pointer": pointer(one["loc"]), "detail": complaint(one)} for one in found]
    first = complaints[0]
    return Invalid(f"{first['pointer'] or 'body'}: {first['detail']}", {"errors": complaints})


def pointer(steps: Iterable[int | str]) -> str:
    """The JSON pointer to where these steps lead."""
    real = [str(step) for step in steps if step != "[key]"]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in real)


def read_query(request: Asked, kind: type[Q]) -> Q:
    """The query string. Raises Invalid."""
    try:
        return kind.model_validate(gathered(request.query_params.multi_items()))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        complaints = [
            {"parameter": str(one["loc"][0]) if one["loc"] else "", "detail": complaint(one)} for one in found
        ]
        first = complaints[0]
        raise Invalid(f"{first['parameter']}: {first['detail']}", {"errors": complaints}) from error


def gathered(items: Iterable[tuple[str, Any]]) -> Mapping[str, object]:
    """Values by name; what may come more than once is a list, anything else that does becomes one and is refused."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in items:
        values[name].append(str(value))
    return {name: found if name in MANY or len(found) > 1 else found[0] for name, found in values.items()}


def read_wait(prefer: str | None) -> int | None:
    """Seconds to wait, 0 to 60, out of a Prefer header (RFC 7240); what cannot be read is passed over."""
    match = re.search(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])', prefer or "", re.I)
    return min(int(match[1]), MOST_WAIT_S) if match else None


def read_if_match(header: str | None) -> frozenset[int] | None:
    """Versions in an If-Match header (RFC 9110); None when any will do. An unreadable tag is no version."""
    tags = [tag.strip() for tag in (header or "*").split(",")]
    if "*" in tags:
        return None
    found = (re.fullmatch(r'(?:W/)?"?(\d{1,19})"?', tag) for tag in tags)
    return frozenset(int(match[1]) for match in found if match)


def read_last_event_id(header: str | None, after: int | None) -> int | None:
    """Where a stream goes on: what a reader has had counts more than where he once began. Raises Invalid."""
    if not header:
        return after
    if header.isascii() and header.isdecimal() and len(header) < 20 and int(header) <= MAX_BIGINT:
        return int(header)
    detail = "a Last-Event-ID is the id of an event"
    raise Invalid(detail, {"errors": [{"header": "Last-Event-ID", "detail": detail}]})


def read_key(header: str | None) -> str | None:
    """An Idempotency-Key. Raises Invalid."""
    if header is None or 1 <= len(header) <= MOST_KEY_LETTERS:
        return header
    detail = f"an Idempotency-Key has 1 to {MOST_KEY_LETTERS} letters"
    raise Invalid(detail, {"errors": [{"header": "Idempotency-Key", "detail": detail}]})
