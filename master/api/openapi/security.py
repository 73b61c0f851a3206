"""Describes in the OpenAPI document which token each operation needs."""

from typing import Any

from master.api.scopes import need_of
from master.errors import DatabaseAway, DatabaseFailed, Forbidden, Reported, Unauthorized

Json = dict[str, Any]

SCHEME = "token"
SCHEMES: Json = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "mp_ and 36 letters and digits",
        "description": "A token, made by POST /tokens or `maybe-master token create`. While no token with the scope "
        "`admin` exists, the API is open to everybody and needs none.",
    }
}


def security(path: str, method: str) -> list[Json]:
    """Return what an operation needs, with its scopes: a token, or none while the API is open."""
    need = need_of(path, method)
    return [] if need is None or need.is_free else [{SCHEME: list(need.scopes)}, {}]


def scope_words(path: str, method: str) -> str:
    """Describe the scopes of an operation; an empty text for those that need no token."""
    need = need_of(path, method)
    if need is None or need.is_free:
        return ""
    which = " and ".join(f"`{scope}`" for scope in need.scopes)
    first = f"It needs a token with the scope {which}." if need.scopes else "Any token will do."
    first = first.replace("scope `", "scopes `") if len(need.scopes) > 1 else first
    return first if need.narrowed else f"{first} It is refused to tokens with a filter."


def problems(path: str, method: str) -> set[type[Reported]]:
    """Return what the authentication of an operation may answer; it reads the database."""
    need = need_of(path, method)
    return set() if need is None or need.is_free else {Unauthorized, Forbidden, DatabaseAway, DatabaseFailed}
