"""A proxy's settings, and the rule that no proxy is open: it has a user name and password, or networks, or both."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from master.conflicts import pointed
from master.patches import merged
from master.terms import with_terms
from master.wishes.proxies import ProxyWish

NESTED_WISHES = ("exit", "limits", "destinations", "rotation")
ALPHABET = string.ascii_letters + string.digits
USERNAME_LETTERS = 10
PASSWORD_LETTERS = 20
"""119 bits."""


def drawn(letters: int) -> str:
    """Random letters and digits, out of one random number: a stack draws thousands of them at once."""
    number, found = secrets.randbelow(len(ALPHABET) ** letters), ""
    for _ in range(letters):
        number, digit = divmod(number, len(ALPHABET))
        found += ALPHABET[digit]
    return found


def first_settings(wish: ProxyWish) -> dict[str, Any]:
    """Everything but the port of a proxy to be made, with its name where it has one.

    Raises Invalid when it would be open or have half a login, or when its engine cannot do what is asked of it.
    """
    fields = {"name", "protocol", "allow_ips", "engine", "enabled", "labels"}
    asked = {name: getattr(wish, name).given() for name in NESTED_WISHES}
    username, password = wish.username, wish.password
    if username is None and "username" not in wish.model_fields_set and (password or not wish.allow_ips):
        username = drawn(USERNAME_LETTERS)
    login = checked({**wish.model_dump(include=fields), "username": username, "password": password})
    return with_terms(merged({**login, **{name: {} for name in NESTED_WISHES}}, asked), asked)


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
        return {**settings, "password": drawn(PASSWORD_LETTERS)}
    return settings
