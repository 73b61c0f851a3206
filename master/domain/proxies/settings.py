"""The settings of a proxy, and the rule that no proxy is open: it needs a login, or allowed networks, or both."""

import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

from master.db.database import Session
from master.domain.proxies.rotatable import why_not_rotatable
from master.domain.proxies.schemas import ProxyOptions
from master.errors import invalid_at
from master.schemas.merge_patch import merged
from master.schemas.timestamps import read_timestamp, rfc_3339
from shared.engine.limits import unsupported
from shared.proxies import Exit, Limits

NESTED_OPTIONS = ("exit", "limits", "destinations", "rotation")
ALPHABET = string.ascii_letters + string.digits
LOGIN_LETTERS = {"username": 10, "password": 20}
"""The letters of generated logins. Those of a password have 119 bits."""
UNEVEN = bytes(range(256 - 256 % len(ALPHABET), 256))
"""Bytes that are dropped, so that every letter stands for equally many of the others."""
LETTER_OF_BYTE = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))


def random_login() -> dict[str, str]:
    """Draw a user name and a password."""
    return {name: random_texts(1, letters)[0] for name, letters in LOGIN_LETTERS.items()}


def random_texts(count: int, letters: int) -> list[str]:
    """Draw many texts of random letters and digits at once, since a stack draws thousands of them."""
    drawn = b""
    while len(drawn) < count * letters:
        drawn += secrets.token_bytes(count * letters + 64).translate(LETTER_OF_BYTE, UNEVEN)
    return [drawn[begin : begin + letters].decode() for begin in range(0, count * letters, letters)]


def new_settings(body: ProxyOptions) -> dict[str, Any]:
    """Return all settings of a new proxy but its port; the name only where the body has one.

    Raises Invalid when the proxy would be open or have half a login, or its engine cannot do what the body asks for.
    """
    fields = {"name", "protocol", "tls", "allow_ips", "engine", "enabled", "labels"}
    options = {name: getattr(body, name).given() for name in NESTED_OPTIONS}
    username, password = body.username, body.password
    if username is None and "username" not in body.model_fields_set and (password or not body.allow_ips):
        username = random_login()["username"]
    login = with_password({**body.model_dump(include=fields), "username": username, "password": password})
    given = {
        name: {key: value for key, value in members.items() if value is not None} for name, members in options.items()
    }
    return normalized({**login, **given}, options)


def patched_settings(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with these changes. Removing the user name removes the password, too.

    Raises Invalid when the proxy would be open or have half a login, or its engine cannot do what the changes ask for.
    """
    after = merged(settings, changes)
    if after["username"] is None and "password" not in changes:
        after["password"] = None
    return normalized(with_password(after), changes)


def with_password(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings, with a random password if only that is missing. Raises Invalid."""
    if settings["username"] is None and settings["password"] is not None:
        raise invalid_at("a password needs a user name", "/password")
    if settings["username"] is None and not settings["allow_ips"]:
        raise invalid_at("a proxy without a user name needs allow_ips: no proxy may be open to everybody", "/allow_ips")
    if settings["username"] is not None and settings["password"] is None:
        return {**settings, "password": random_login()["password"]}
    return settings


EXIT_MEMBERS: Mapping[str, frozenset[str]] = {
    "default": frozenset(),
    "address": frozenset({"address"}),
    "ipv6_random": frozenset({"prefix"}),
    "ipv6_session": frozenset({"prefix", "session_ttl_s", "generation"}),
}
"""The members that each mode of an exit has besides `mode`."""


def normalized(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with exit, limits and destinations as they are stored: only given, meaningful members.

    Raises Invalid when the changes give members without a meaning, or ask for what the proxy's engine cannot do.
    """
    exit_ = normalized_exit(settings["exit"], changes.get("exit") or {})
    limits = normalized_limits(settings["limits"], changes.get("limits") or {})
    wanted = Exit.model_validate(exit_), Limits.model_validate(limits)
    refused = unsupported(settings["engine"], *wanted, tls=settings["tls"])
    if refused:
        raise invalid_at(
            "; ".join(reason for _, reason in refused), *(f"/{field.replace('.', '/')}" for field, _ in refused)
        )
    destinations = {name: value for name, value in settings["destinations"].items() if value}
    after = {**settings, "exit": exit_, "limits": limits, "destinations": destinations}
    check_schedule(after)
    return after


def check_schedule(settings: Mapping[str, Any]) -> None:
    """Check that a schedule is complete and the proxy can be rotated by it. Raises Invalid."""
    rotation = settings["rotation"]
    if not rotation:
        return
    if missing := [name for name in ("every_s", "what") if name not in rotation]:
        raise invalid_at(f"a schedule needs {' and '.join(missing)}", *(f"/rotation/{name}" for name in missing))
    if rotation.get("overlap_s", 0) >= rotation["every_s"]:
        raise invalid_at(
            "the overlap must end before the next rotation: overlap_s must be below every_s", "/rotation/overlap_s"
        )
    reason = why_not_rotatable(
        rotation["what"],
        engine=settings["engine"],
        has_login=settings["username"] is not None,
        exit_=settings["exit"],
    )
    if reason is not None:
        raise invalid_at(f"the proxy cannot be rotated by this schedule: {reason}", "/rotation/what")


def normalized_exit(exit_: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Drop members of a former mode. Raises Invalid when the changes give a member that the mode does not have."""
    mode = exit_.get("mode", "default")
    for name in sorted(exit_.keys() - EXIT_MEMBERS[mode] - {"mode"}):
        if changes.get(name) is not None:
            raise invalid_at(f"an exit of mode {mode} has no {name}", f"/exit/{name}")
    if mode == "address" and "address" not in exit_:
        raise invalid_at("an exit of mode address needs an address", "/exit/address")
    if mode == "default":
        return {}
    return {name: exit_[name] for name in ("mode", *sorted(EXIT_MEMBERS[mode])) if name in exit_}


def normalized_limits(limits: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Drop a period without traffic_bytes. Raises Invalid when the changes give one."""
    limits = dict(limits)
    if limits.get("traffic_period") == "total":
        del limits["traffic_period"]
    if "traffic_period" in limits and "traffic_bytes" not in limits:
        if changes.get("traffic_period") is not None:
            raise invalid_at("a period of traffic needs traffic_bytes", "/limits/traffic_period")
        del limits["traffic_period"]
    return limits


ProxySettings = Mapping[str, Any]
POINTER = "/limits/expires_at"


def new_expiries(changes: Iterable[tuple[ProxySettings, ProxySettings]]) -> set[str]:
    """Return each `expires_at` that a change (before, after) sets. A time that stays may lie in the past."""
    expiries = {(before["limits"].get("expires_at"), after["limits"].get("expires_at")) for before, after in changes}
    return {after for before, after in expiries if after is not None and after != before}


async def check_expiries(
    session: Session, changes: Iterable[tuple[ProxySettings, ProxySettings]], *, allow_past: bool
) -> None:
    """Check by the database's clock that no proxy would have expired already. Raises Invalid."""
    expiries = set[str]() if allow_past else new_expiries(changes)
    if not expiries:
        return
    now, first = await session.value("proxies.clock"), min(map(read_timestamp, expiries))
    if first <= now:
        detail = f"{rfc_3339(first)} is in the past; to end proxies at once on purpose, add ?allow_past=true"
        raise invalid_at(detail, POINTER)


NO_EXPIRY: ProxySettings = {"limits": {}}
"""The settings before a proxy exists."""
