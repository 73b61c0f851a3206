"""Which known name is likely to be meant where an unknown one was given. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

LETTERS = 100
"""Of a name that is compared: the time grows with the length."""


def likely(name: str, known: Iterable[str]) -> str | None:
    """The nearest known name, if one is near; upper and lower case do not count."""
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower()[:LETTERS], by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None
