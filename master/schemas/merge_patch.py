"""What becomes of settings when some of them change."""

from collections.abc import Mapping
from typing import Any

NESTED = ("labels", "exit", "limits", "destinations", "rotation", "exits")


def merged(now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these changes; what has members is merged, and null removes one or all (RFC 7396)."""
    nested = {name: patched(now[name], changes[name]) for name in NESTED if name in changes}
    return {**now, **changes, **nested}


def patched(now: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """One level of a merge."""
    both = {**now, **changes} if changes is not None else {}
    return {key: value for key, value in both.items() if value is not None}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of what is otherwise."""
    return sorted(name for name in after if after[name] != before[name])
