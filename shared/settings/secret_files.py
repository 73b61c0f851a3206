"""Reads secrets from files: the variable NAME_FILE names the file that holds the value of NAME."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_SECRET = 64 * 1024
"""Bytes."""


@dataclass(frozen=True)
class SecretFiles:
    """The values that were read by variable, and the reasons for those that were not."""

    values: Mapping[str, str] = field(repr=False)
    reasons: Mapping[str, str]


def file_variable(name: str) -> str:
    """Return the variable that names the file of a secret."""
    return f"{name}_FILE"


def read_secret_files(names: Iterable[str], env: Mapping[str, str]) -> SecretFiles:
    """Read the files that the environment names for these secrets. Reasons never repeat what is in a file."""
    values: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name in names:
        path = env.get(file_variable(name))
        if path and env.get(name):
            reasons[name] = f"is set, and {file_variable(name)} too; set one of them"
        elif path:
            try:
                values[name] = file_text(Path(path))
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                reasons[name] = f"the file {path} of {file_variable(name)} cannot be used: {why}"
    return SecretFiles(values, reasons)


def file_text(path: Path) -> str:
    """Return the text of a file without the newline at its end. Raises OSError and ValueError."""
    with path.open("rb") as file:
        content = file.read(LONGEST_SECRET + 1)
    if len(content) > LONGEST_SECRET:
        raise ValueError(f"it has more than {LONGEST_SECRET} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError("it is not text in UTF-8") from None
    return re.sub(r"\r?\n\Z", "", text)
