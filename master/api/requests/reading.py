"""Reads and validates the body, the query string and the headers of a request."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from litestar import Request
from litestar.params import PathParameter
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from master.api.requests.admission import JSON_TYPES
from master.api.requests.cross_origin import media_type
from master.api.requests.query_parameters import ParameterError, misspelt, read_parameters, repeatable
from master.api.requests.suggestions import fields_at, known_fields, unknown
from master.errors import BadRequest, Invalid, NotJson
from master.schemas.base import Query, RequestBody
from shared.proxies import MAX_BIGINT
from shared.strict_json import DuplicateMemberError, NotJsonError, check_json
from shared.validation_errors import error_text, printable

MOST_WAIT_S = 60
MOST_KEY_LETTERS = 255
KEY = re.compile(rf"[\x20-\x7e]{{1,{MOST_KEY_LETTERS}}}")

MOST_COMPLAINTS = 50
"""The most errors that are reported of one request: finding similar names takes time, and nobody reads thousands."""
DRY_RUN, NOT_TRIED = "dry_run", "this request has no dry run"

PathId = Annotated[int, PathParameter(ge=1, le=MAX_BIGINT)]

ApiRequest = Request[Any, Any, Any]
W = TypeVar("W", bound=RequestBody)
Q = TypeVar("Q", bound=Query)


def read_body(raw: bytes, content_type: str, kind: type[W]) -> W:
    """Read a body. Raises NotJson for another media type, BadRequest when it is not JSON, Invalid."""
    if media_type(content_type) not in JSON_TYPES:
        raise NotJson("send JSON, with the header content-type: application/json")
    try:
        check_json(raw)
        return kind.model_validate_json(raw, strict=True)
    except NotJsonError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    except DuplicateMemberError as error:
        raise twice(error.name) from error
    except ValidationError as error:
        raise refused(error, kind) from error


def twice(name: str) -> Invalid:
    """Report a member that a body has more than once."""
    detail = f'the member "{printable(name, 60)}" is given more than once'
    return Invalid(detail, {"errors": [{"pointer": "", "detail": detail}]})


def refused(error: ValidationError, kind: type[BaseModel]) -> BadRequest | Invalid:
    """Report the errors of a body by JSON pointers (RFC 6901), without repeating its values."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return BadRequest(
            "the body is JSON that cannot be read: it is nested too deeply, or has a number that is too long or a text "
            "that is not Unicode"
        )
    return invalid([{"pointer": pointer(one["loc"]), "detail": in_body(one, kind)} for one in found[:MOST_COMPLAINTS]])


def in_body(one: ErrorDetails, kind: type[BaseModel]) -> str:
    """Describe an error of a body. For an unknown field, name the known ones."""
    *where, last = one["loc"] or ("",)
    known = fields_at(kind, where) if one["type"] == "extra_forbidden" else []
    return unknown("field", str(last), known) if known else error_text(one)


def invalid(complaints: Sequence[ParameterError]) -> Invalid:
    """Report these errors; `detail` has the first."""
    first = complaints[0]
    where = first.get("pointer") or first.get("parameter") or "body"
    return Invalid(f"{where}: {first['detail']}", {"errors": list(complaints)})


def pointer(steps: Iterable[int | str]) -> str:
    """Join steps into a JSON pointer."""
    real = [str(step) for step in steps if step != "[key]"]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in real)


def read_query(request: ApiRequest, kind: type[Q], *, others: bool = False) -> Q:
    """Read the query string; with `others` unknown parameters are ignored. Raises Invalid."""
    pairs, complaints = read_parameters(request.scope["query_string"])
    if others:
        pairs, complaints = [pair for pair in pairs if pair[0] in known_fields(kind)], []
    complaints = complaints or [
        *unknown_parameters(pairs, known_fields(kind)),
        *repeated(pairs, repeatable(kind)),
        *misspelt(kind, pairs),
    ]
    if complaints:
        raise invalid(complaints)
    try:
        return kind.model_validate(gathered(pairs, repeatable(kind)))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        names = [str(one["loc"][0]) if one["loc"] else "" for one in found]
        raise invalid(
            [{"parameter": name, "detail": error_text(one)} for name, one in zip(names, found, strict=True)]
        ) from error


def unknown_parameters(pairs: Iterable[tuple[str, str]], known: Sequence[str]) -> list[ParameterError]:
    """Report each unknown parameter, and name the known ones."""
    names = list(dict.fromkeys(name for name, _ in pairs if name not in known))[:MOST_COMPLAINTS]
    return [
        {
            "parameter": printable(name, 60),
            "detail": NOT_TRIED if name == DRY_RUN else unknown("parameter", name, known),
        }
        for name in names
    ]


def repeated(pairs: Iterable[tuple[str, str]], many: frozenset[str]) -> list[ParameterError]:
    """Report parameters that are repeated but may not be."""
    counts = Counter(name for name, _ in pairs)
    return [
        {"parameter": name, "detail": "may be given only once"}
        for name, count in counts.items()
        if count > 1 and name not in many
    ]


def gathered(items: Iterable[tuple[str, str]], many: frozenset[str]) -> Mapping[str, object]:
    """Return values by name; those of `many` are lists. Others that are repeated become lists, and are refused."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in items:
        values[name].append(value)
    return {name: found if name in many or len(found) > 1 else found[0] for name, found in values.items()}


def read_wait(prefer: str | None) -> int | None:
    """Read the seconds to wait, 0 to 60, from a Prefer header (RFC 7240); anything else in it is ignored."""
    match = re.search(r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})"?\s*(?:$|[,;])', prefer or "", re.I)
    return min(int(match[1]), MOST_WAIT_S) if match else None


def read_if_match(header: str | None) -> frozenset[int] | None:
    """Read the versions in an If-Match header (RFC 9110); None means any. An unreadable tag is no version."""
    tags = [tag.strip() for tag in (header or "*").split(",")]
    if "*" in tags:
        return None
    found = (re.fullmatch(r'(?:W/)?"?([0-9]{1,19})"?', tag) for tag in tags)
    return frozenset(int(match[1]) for match in found if match)


def read_last_event_id(header: str | None, after: int | None) -> int | None:
    """Return the event after which a stream continues: the last one received, or else `after`. Raises Invalid."""
    if not header:
        return after
    if header.isascii() and header.isdecimal() and len(header) < 20 and int(header) <= MAX_BIGINT:
        return int(header)
    detail = "a Last-Event-ID is the id of an event"
    raise Invalid(detail, {"errors": [{"header": "Last-Event-ID", "detail": detail}]})


def read_key(header: str | None) -> str | None:
    """Check an Idempotency-Key. Raises Invalid."""
    if header is None or KEY.fullmatch(header):
        return header
    detail = f"an Idempotency-Key has 1 to {MOST_KEY_LETTERS} printable ASCII characters"
    raise Invalid(detail, {"errors": [{"header": "Idempotency-Key", "detail": detail}]})
