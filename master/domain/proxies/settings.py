"""A proxy's settings, and the rule that no proxy is open: it has a user name and password, or networks, or both."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from master.domain.proxies.rotatable import why_not_rotatable
from master.domain.proxies.schemas import ProxyOptions
from master.errors import pointed
from master.schemas.merge_patch import merged
from shared.engine_limits import unsupported
from shared.proxies import Exit, Limits

NESTED_WISHES = ("exit", "limits", "destinations", "rotation")
ALPHABET = string.ascii_letters + string.digits
USERNAME_LETTERS = 10
PASSWORD_LETTERS = 20
"""119 bits."""


def random_text(letters: int) -> str:
    """Random letters and digits, out of one random number: a stack draws thousands of them at once."""
    number, found = secrets.randbelow(len(ALPHABET) ** letters), ""
    for _ in range(letters):
        number, digit = divmod(number, len(ALPHABET))
        found += ALPHABET[digit]
    return found


def first_settings(body: ProxyOptions) -> dict[str, Any]:
    """Everything but the port of a proxy to be made, with its name where it has one.

    Raises Invalid when it would be open or have half a login, or when its engine cannot do what is asked of it.
    """
    fields = {"name", "protocol", "allow_ips", "engine", "enabled", "labels"}
    query = {name: getattr(body, name).given() for name in NESTED_WISHES}
    username, password = body.username, body.password
    if username is None and "username" not in body.model_fields_set and (password or not body.allow_ips):
        username = random_text(USERNAME_LETTERS)
    login = checked({**body.model_dump(include=fields), "username": username, "password": password})
    return with_terms(merged({**login, **{name: {} for name in NESTED_WISHES}}, query), query)


def amended(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these changes; without a user name the password goes too.

    Raises Invalid when the proxy would be open or have half a login, or when its engine cannot do what is asked of it.
    """
    after = merged(settings, changes)
    if after["username"] is None and "password" not in changes:
        after["password"] = None
    return with_terms(checked(after), changes)


def checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, a password drawn where only that is missing. Raises Invalid."""
    if settings["username"] is None and settings["password"] is not None:
        raise pointed("a password needs a user name", "/password")
    if settings["username"] is None and not settings["allow_ips"]:
        raise pointed("a proxy without a user name needs allow_ips: none is open to everybody", "/allow_ips")
    if settings["username"] is not None and settings["password"] is None:
        return {**settings, "password": random_text(PASSWORD_LETTERS)}
    return settings


MEMBERS: Mapping[str, frozenset[str]] = {
    "default": frozenset(),
    "address": frozenset({"address"}),
    "ipv6_random": frozenset({"prefix"}),
    "ipv6_session": frozenset({"prefix", "session_ttl_s", "generation"}),
}
"""What each mode of an exit has besides."""


def with_terms(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, their exit, limits and destinations as they are kept: only what is said and means something.

    Raises Invalid when the changes ask for what means nothing, or for what the proxy's engine cannot do.
    """
    exit_ = kept_exit(settings["exit"], changes.get("exit") or {})
    limits = kept_limits(settings["limits"], changes.get("limits") or {})
    refused = unsupported(settings["engine"], Exit.model_validate(exit_), Limits.model_validate(limits))
    if refused:
        raise pointed(
            "; ".join(reason for _, reason in refused), *(f"/{field.replace('.', '/')}" for field, _ in refused)
        )
    destinations = {name: said for name, said in settings["destinations"].items() if said}
    after = {**settings, "exit": exit_, "limits": limits, "destinations": destinations}
    check_schedule(after)
    return after


def check_schedule(settings: Mapping[str, Any]) -> None:
    """Raises Invalid when a schedule lacks something, or the proxy cannot be rotated so."""
    rotation = settings["rotation"]
    if not rotation:
        return
    if missing := [name for name in ("every_s", "what") if name not in rotation]:
        raise pointed(f"a schedule needs {' and '.join(missing)}", *(f"/rotation/{name}" for name in missing))
    if rotation.get("overlap_s", 0) >= rotation["every_s"]:
        raise pointed("the overlap ends before the next turn: overlap_s is below every_s", "/rotation/overlap_s")
    reason = why_not_rotatable(
        rotation["what"], engine=settings["engine"], username=settings["username"], exit_=settings["exit"]
    )
    if reason is not None:
        raise pointed(f"the proxy cannot be rotated so: {reason}", "/rotation/what")


def kept_exit(query: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Members that another mode left behind are dropped; those that are asked for now are refused. Raises Invalid."""
    mode = query.get("mode", "default")
    for name in sorted(query.keys() - MEMBERS[mode] - {"mode"}):
        if changes.get(name) is not None:
            raise pointed(f"an exit of mode {mode} has no {name}", f"/exit/{name}")
    if mode == "address" and "address" not in query:
        raise pointed("an exit of mode address needs an address", "/exit/address")
    return (
        {name: query[name] for name in ("mode", *sorted(MEMBERS[mode])) if name in query} if mode != "default" else {}
    )


def kept_limits(query: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A period means nothing without traffic_bytes. Raises Invalid."""
    limits = dict(query)
    if limits.get("traffic_period") == "total":
        del limits["traffic_period"]
    if "traffic_period" in limits and "traffic_bytes" not in limits:
        if changes.get("traffic_period") is not None:
            raise pointed("a period of traffic needs traffic_bytes", "/limits/traffic_period")
        del limits["traffic_period"]
    return limits
