"""Texts of pydantic's validation errors for a person, without the values, which may be secrets. Pure."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

ERROR_TEXT_LIMIT = 300


def first_error(error: ValidationError) -> str:
    """Describe the first error by its path and text, without the value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = "/".join(str(step) for step in first["loc"])
    return printable(f"{where}: {error_text(first)}" if where else error_text(first), ERROR_TEXT_LIMIT)


def printable(text: str, limit: int) -> str:
    """Make text from another program safe for logs and the database: shorten it and replace unprintable characters."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:limit])


def error_text(error: ErrorDetails) -> str:
    """Return the text of one error, without pydantic's prefix to our own texts."""
    return error["msg"].removeprefix("Value error, ")
