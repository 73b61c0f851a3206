"""The template of a stack: its stored form, the settings of new proxies, and its change for existing proxies."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from master.domain.proxies.changes import LOGIN, ChangeRule
from master.domain.proxies.settings import (
    LOGIN_LETTERS,
    new_settings,
    normalized,
    patched_settings,
    random_texts,
    with_password,
)
from master.domain.stacks.schemas import StackProxy, StackProxyPatch
from master.errors import Invalid
from master.schemas.merge_patch import patched
from shared.proxies import ProxyId

Template = Mapping[str, Any]
"""Placement, settings and login as given. `username` null means no login; random parts of a login are absent."""

PLACEMENT = ("location_ids", "node_ids")
REPLACED = ("protocol", "tls", "allow_ips", "engine", "exit", "rotation", "enabled")
MERGED = ("limits", "destinations", "labels")
"""These change member by member: a proxy keeps a member of its own until the template changes that member."""


@contextmanager
def errors_in_proxy() -> Generator[None]:
    """Prefix the pointers of refusals with the body's member `proxy`."""
    try:
        yield
    except Invalid as error:
        errors = [
            {**one, "pointer": f"/proxy{one['pointer']}"} if "pointer" in one else one
            for one in error.members.get("errors", [])
        ]
        raise Invalid(error.detail, {**error.members, "errors": errors}) from error


def template_from(body: StackProxy) -> Template:
    """Return the stored form of a template. Raises Invalid when no proxy can have these settings."""
    settings = new_settings(body)
    given = {name: getattr(body, name) for name in LOGIN if getattr(body, name) is not None}
    draw_login = {"username": None} if settings["username"] is None else given
    return {**placement(body), **{name: settings[name] for name in (*REPLACED, *MERGED)}, **draw_login}


def placement(body: StackProxy) -> Template:
    """Return the locations and nodes that proxies may use."""
    locations = [body.location_id] if body.location_id is not None else body.location_ids
    found = {"location_ids": locations, "node_ids": body.node_ids}
    return {name: ids for name, ids in found.items() if ids is not None}


def patched_template(template: Template, body: StackProxyPatch) -> Template:
    """Return the template with these changes. Raises Invalid when no proxy can have these settings."""
    changes = body.given()
    if (location_id := changes.pop("location_id", None)) is not None:
        changes["location_ids"] = [location_id]
    where = {**template, **{name: changes.pop(name) for name in PLACEMENT if name in changes}}
    after = patched_settings(proxy_settings(template), changes)
    both = {**template, **changes}
    given = {name: both[name] for name in LOGIN if name in both}
    draw_login = {"username": None} if after["username"] is None else given
    return {
        **{name: where[name] for name in PLACEMENT if where.get(name) is not None},
        **{name: after[name] for name in (*REPLACED, *MERGED)},
        **draw_login,
    }


def proxy_settings(template: Template) -> dict[str, Any]:
    """Return the settings of a new proxy, with a login of its own."""
    settings = {name: template[name] for name in (*REPLACED, *MERGED)}
    username, password = draw_login(template)
    return {**settings, "username": username, "password": password}


def draw_login(template: Template) -> tuple[str | None, str | None]:
    """Return the login of a new proxy, drawn where the template leaves it open."""
    usernames, passwords = draw_logins(template, 1)
    return usernames[0], passwords[0]


def draw_logins(template: Template, count: int) -> tuple[Sequence[str | None], Sequence[str | None]]:
    """Return the user names and the passwords of new proxies, drawn where the template leaves them open."""
    if "username" in template and template["username"] is None:
        return [None] * count, [None] * count
    usernames, passwords = (
        [template[name]] * count if name in template else random_texts(count, LOGIN_LETTERS[name]) for name in LOGIN
    )
    return usernames, passwords


def template_rule(before: Template, after: Template) -> ChangeRule:
    """Return how a change of its template changes the proxies of a stack."""

    def settings(id_: ProxyId, shared: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return reapply_template(shared, before, after)
        except Invalid as error:
            detail = f"proxy {id_} has settings of its own: {error.detail}"
            raise Invalid(detail, {**error.members, "proxy_id": id_}) from error

    login = {name: after[name] for name in LOGIN if name in after}
    return ChangeRule(settings=settings, login=login, labels=template_patch("labels", before, after))


def reapply_template(settings: Mapping[str, Any], before: Template, after: Template) -> dict[str, Any]:
    """Return a proxy's settings after a change of its template. Settings that the change does not affect stay.

    Raises Invalid when this proxy, which may have settings of its own, cannot have the new ones.
    """
    changes = {name: after[name] for name in REPLACED if after[name] != before[name]}
    if changes.get("rotation"):
        changes["rotation"] = with_schedule_defaults(changes["rotation"])
    for name in MERGED:
        changes[name] = patched(settings[name], template_patch(name, before, after))
    return normalized(with_password({**settings, **changes, **login_after(settings, before, after)}), {})


def template_patch(name: str, before: Template, after: Template) -> dict[str, Any]:
    """Return the change of a member that is merged, as a merge patch."""
    keys = before[name].keys() | after[name].keys()
    return {key: after[name].get(key) for key in keys if after[name].get(key) != before[name].get(key)}


def login_after(settings: Mapping[str, Any], before: Template, after: Template) -> dict[str, Any]:
    """Return the changes of a proxy's login. A login that the template no longer gives is drawn again."""
    changed = {name for name in LOGIN if before.get(name, ...) != after.get(name, ...)}
    if not changed or (settings["username"] is None and "username" not in changed):
        return {}
    username, password = draw_login(after)
    if username is None:
        return {"username": None, "password": None}
    stays = {name: settings[name] for name in LOGIN if name not in changed and settings[name] is not None}
    return {"username": username, "password": password, **stays}


def with_schedule_defaults(rotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule with the defaults that the database would add."""
    return {"jitter_s": 0, "overlap_s": min(60, rotation["every_s"] // 2), **rotation}
