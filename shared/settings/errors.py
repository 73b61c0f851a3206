"""The error of a program whose settings are missing or invalid."""

from dataclasses import dataclass, replace
from typing import Self

NOT_SET = "is not set"
"""The reason for a required setting without a value."""


@dataclass
class ConfigurationError(Exception):
    """A setting is missing or invalid. `others` are errors of further settings, found by the same reading."""

    variable: str
    reason: str
    others: tuple[Self, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"{error.variable}: {error.reason}" for error in self.errors())

    def errors(self) -> list[Self]:
        """Return an error for each setting."""
        return [replace(self, others=()), *self.others]
