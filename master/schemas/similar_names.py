"""Suggestions of known names for unknown ones. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

LETTERS = 100
"""The most characters of a name to compare, since the time grows with the length."""


def likely(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest known name, or None if none is near. Case is ignored."""
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower()[:LETTERS], by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None
