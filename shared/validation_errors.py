"""What pydantic complains of, in words for a person: without values, which may be secrets."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

ERROR_TEXT_LIMIT = 300


def first_error(error: ValidationError) -> str:
    """Where and what the first of the errors is, without the offending value (it may be a secret)."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = "/".join(str(step) for step in first["loc"])
    return printable(f"{where}: {error_text(first)}" if where else error_text(first), ERROR_TEXT_LIMIT)


def printable(text: str, limit: int) -> str:
    """What a stranger wrote, fit for a log and the database: cut, and without what nothing prints."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:limit])


def error_text(error: ErrorDetails) -> str:
    """What one of pydantic's errors says, without its preface to words of ours."""
    return error["msg"].removeprefix("Value error, ")
