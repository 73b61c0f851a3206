"""Reads settings from environment variables, and the kinds of values that both programs have.

A value is refused unless it has exactly the documented form, so each kind reads the text itself: pydantic would also
accept `3_005`, ` 3005` and `+3005` as numbers. An empty variable counts as unset. The value of a secret may come from a
file instead.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, PlainValidator, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from shared.settings.errors import NOT_SET, ConfigurationError
from shared.settings.secret_files import SecretFiles, file_variable, read_secret_files
from shared.validation_errors import error_text

EMPTY_FILE = "the file of {} is empty"
LONGEST_NUMBER = 9
"""Digits. int() refuses thousands of them with a text of its own."""


class EnvironmentSettings(BaseModel):
    """Settings whose variables are the validation aliases of the fields.

    Those of `may_be_empty` have a meaning when they are set to nothing. A file that gives one of `never_empty` must not
    be empty, although the variable itself may be unset.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    never_empty: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        """Read the variables of this environment. Raises ValidationError."""
        may_be_empty = type(self).may_be_empty
        super().__init__(**{name: value for name, value in environment.items() if value or name in may_be_empty})


S = TypeVar("S", bound=EnvironmentSettings)


def read(settings: type[S], env: Mapping[str, str], error: type[ConfigurationError]) -> S:
    """Read all settings. Raises `error` with every variable that is missing or invalid, and no secret value."""
    files = read_secret_files(secret_variables(settings), env)
    try:
        found, details = settings(environment={**env, **files.values}), []
    except ValidationError as invalid:
        found, details = None, invalid.errors(include_url=False, include_context=False, include_input=False)
    # Outside of the handler: pydantic's error holds the values, which may be secrets.
    empty = {
        name: EMPTY_FILE.format(file_variable(name)) for name in settings.never_empty if files.values.get(name) == ""
    }
    reasons = {**{str(each["loc"][0]): reason(each, files) for each in details}, **files.reasons, **empty}
    if found is None or reasons:
        first, *others = [error(variable, text) for variable, text in reasons.items()]
        raise error(first.variable, first.reason, tuple(others))
    return found


def reason(detail: ErrorDetails, files: SecretFiles) -> str:
    """Return why a variable is refused."""
    if detail["type"] != "missing":
        return error_text(detail)
    variable = str(detail["loc"][0])
    return EMPTY_FILE.format(file_variable(variable)) if variable in files.values else NOT_SET


def variables(settings: type[EnvironmentSettings], *, required: bool) -> tuple[str, ...]:
    """List the names of the required or of the optional variables."""
    fields = settings.model_fields.values()
    return tuple(str(field.validation_alias) for field in fields if field.is_required() == required)


def secret_variables(settings: type[EnvironmentSettings]) -> tuple[str, ...]:
    """List the names of the variables whose values are secrets, which may come from files."""
    fields = settings.model_fields.values()
    return tuple(
        str(field.validation_alias) for field in fields if SecretStr in (field.annotation, *get_args(field.annotation))
    )


def whole_number(least: int, most: int, kind: str = "") -> PlainValidator:
    """Return a reader of numbers in this range, in digits only."""
    kind = kind or f"a whole number from {least} to {most}"

    def number(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
        if not is_number or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not {kind}")
        return int(text)

    return PlainValidator(number)


def one_of(words: Any) -> PlainValidator:
    """Return a reader of the words of a Literal type, in letters of either case."""

    def word(text: str) -> str:
        if text.lower() not in get_args(words):
            raise ValueError(f"{text!r} is none of {', '.join(get_args(words))}")
        return text.lower()

    return PlainValidator(word)


def literal_address(text: str) -> str:
    """Read a literal IP address."""
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP address") from error
