"""A stack's template: what its proxies are like, how it is kept, and what another one makes of those that there are."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from master.domain.proxies.settings import (
    PASSWORD_LETTERS,
    USERNAME_LETTERS,
    amended,
    checked,
    first_settings,
    random_text,
    with_terms,
)
from master.domain.stacks.schemas import StackProxy, StackProxyPatch
from master.errors import Invalid
from master.schemas.merge_patch import patched

Template = Mapping[str, Any]
"""Places, settings and login as they were said. A login has `username` null for none, and lacks what is drawn."""

PLACES = ("location_ids", "node_ids")
LOGIN = ("username", "password")
REPLACED = ("protocol", "allow_ips", "engine", "exit", "rotation", "enabled")
MERGED = ("limits", "destinations", "labels")
"""Each member of these goes by itself: what a proxy has of its own stays until the template says otherwise of it."""


@contextmanager
def of_proxies() -> Generator[None]:
    """What is refused inside stands in the body's `proxy`."""
    try:
        yield
    except Invalid as error:
        complaints = [
            {**one, "pointer": f"/proxy{one['pointer']}"} if "pointer" in one else one
            for one in error.members.get("errors", [])
        ]
        raise Invalid(error.detail, {**error.members, "errors": complaints}) from error


def kept(body: StackProxy) -> Template:
    """As it is kept. Raises Invalid when no proxy can be so."""
    settings = first_settings(body)
    said = {name: getattr(body, name) for name in LOGIN if getattr(body, name) is not None}
    login = {"username": None} if settings["username"] is None else said
    return {**places(body), **{name: settings[name] for name in (*REPLACED, *MERGED)}, **login}


def places(body: StackProxy) -> Template:
    """Where proxies may be."""
    locations = [body.location_id] if body.location_id is not None else body.location_ids
    found = {"location_ids": locations, "node_ids": body.node_ids}
    return {name: ids for name, ids in found.items() if ids is not None}


def altered(template: Template, body: StackProxyPatch) -> Template:
    """The template with these changes. Raises Invalid when no proxy can be so."""
    changes = body.given()
    if (location_id := changes.pop("location_id", None)) is not None:
        changes["location_ids"] = [location_id]
    where = {**template, **{name: changes.pop(name) for name in PLACES if name in changes}}
    after = amended(first(template), changes)
    said = {name: {**template, **changes}[name] for name in LOGIN if name in {**template, **changes}}
    login = {"username": None} if after["username"] is None else said
    return {
        **{name: where[name] for name in PLACES if where.get(name) is not None},
        **{name: after[name] for name in (*REPLACED, *MERGED)},
        **login,
    }


def first(template: Template) -> dict[str, Any]:
    """Settings of a new proxy, with a login of its own."""
    settings = {name: template[name] for name in (*REPLACED, *MERGED)}
    username, password = login(template)
    return {**settings, "username": username, "password": password}


def login(template: Template) -> tuple[str | None, str | None]:
    """Of a new proxy."""
    username = template["username"] if "username" in template else random_text(USERNAME_LETTERS)
    if username is None:
        return None, None
    return username, template["password"] if "password" in template else random_text(PASSWORD_LETTERS)


def reapply_template(settings: Mapping[str, Any], before: Template, after: Template) -> dict[str, Any]:
    """A proxy's settings when its template has changed: what the templates do not differ in stays.

    Raises Invalid when this proxy, which may have settings of its own, cannot be so.
    """
    changes = {name: after[name] for name in REPLACED if after[name] != before[name]}
    if changes.get("rotation"):
        changes["rotation"] = scheduled(changes["rotation"])
    for name in MERGED:
        differing = before[name].keys() | after[name].keys()
        patch = {key: after[name].get(key) for key in differing if after[name].get(key) != before[name].get(key)}
        changes[name] = patched(settings[name], patch)
    return with_terms(checked({**settings, **changes, **new_login(settings, before, after)}), {})


def new_login(settings: Mapping[str, Any], before: Template, after: Template) -> dict[str, Any]:
    """What becomes of a proxy's login; one that is no longer shared is drawn anew."""
    changed = {name for name in LOGIN if before.get(name, ...) != after.get(name, ...)}
    if not changed or (settings["username"] is None and "username" not in changed):
        return {}
    username, password = login(after)
    if username is None:
        return {"username": None, "password": None}
    stays = {name: settings[name] for name in LOGIN if name not in changed and settings[name] is not None}
    return {"username": username, "password": password, **stays}


def scheduled(rotation: Mapping[str, Any]) -> dict[str, Any]:
    """With what the schema adds where nothing is said."""
    return {"jitter_s": 0, "overlap_s": min(60, rotation["every_s"] // 2), **rotation}
