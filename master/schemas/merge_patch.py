"""JSON merge patch of settings (RFC 7396), one level deep."""

from collections.abc import Mapping
from typing import Any

NESTED = ("labels", "exit", "limits", "destinations", "rotation", "exits")


def merged(now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with these changes. Objects are merged; null removes a member, or all of them."""
    nested = {name: patched(now[name], changes[name]) for name in NESTED if name in changes}
    return {**now, **changes, **nested}


def patched(now: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Merge the members of one object."""
    both = {**now, **changes} if changes is not None else {}
    return {key: value for key, value in both.items() if value is not None}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of the members that differ."""
    return sorted(name for name in after if after[name] != before[name])
