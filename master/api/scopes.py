"""Which scopes each route and method needs. What is not listed here is refused. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from master.errors import Forbidden, Unauthorized
from master.schemas.access import NOBODY, Access, TokenScope

Method = str


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """All scopes that a request needs; none: any token will do.

    `narrowed` is whether a token with a filter may send it: routes about the whole system are not for those.
    """

    scopes: tuple[TokenScope, ...]
    narrowed: bool = False
    is_free: bool = False
    """Whether it needs no token at all."""
    without_database: bool = False
    """Whether it is answered while the database is away, so that its caller must be known without it."""


FREE = Need(scopes=(), narrowed=True, is_free=True)
ANY_TOKEN = Need(scopes=(), narrowed=True)
READ, READ_ALL = Need(scopes=("read",), narrowed=True), Need(scopes=("read",))
EXPORT = Need(scopes=("read", "secrets"), narrowed=True)
WRITE, WRITE_ALL = Need(scopes=("write",), narrowed=True), Need(scopes=("write",))
NEW_LINK = Need(scopes=("write", "secrets"), narrowed=True)
NEW_WEBHOOK = Need(scopes=("write", "secrets"))
ROTATE = Need(scopes=("rotate",), narrowed=True)
CHECK = Need(scopes=("check",), narrowed=True)
ENROL = Need(scopes=("enrol",))
UPGRADE = Need(scopes=("upgrade",))
METRICS = Need(scopes=("metrics",), without_database=True)
ADMIN = Need(scopes=("admin",))

NEEDS: Mapping[str, Mapping[Method, Need]] = {
    "/locations": {"GET": READ, "POST": WRITE_ALL},
    "/locations/{location_id}": {"GET": READ, "PATCH": WRITE_ALL, "DELETE": WRITE_ALL},
    "/locations/{location_id}/rebalance": {"POST": WRITE_ALL},
    "/nodes": {"GET": READ, "POST": ENROL},
    "/nodes/count": {"GET": READ},
    "/nodes/{node_id}": {"GET": READ, "PATCH": WRITE_ALL, "DELETE": WRITE_ALL},
    "/nodes/{node_id}/sync": {"POST": WRITE_ALL},
    "/nodes/{node_id}/replace": {"POST": ENROL},
    "/invitations": {"GET": ENROL, "POST": ENROL},
    "/invitations/{invitation_id}": {"GET": ENROL, "DELETE": ENROL},
    "/install-command": {"GET": ENROL},
    "/proxies": {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/proxies/count": {"GET": READ},
    "/proxies/export": {"GET": EXPORT},
    "/proxies/claim": {"POST": WRITE},
    "/proxies/check": {"POST": CHECK},
    "/proxies/rotate": {"POST": ROTATE},
    "/proxies/{proxy_id}": {"GET": READ, "PATCH": WRITE, "DELETE": WRITE},
    "/proxies/{proxy_id}/check": {"POST": CHECK},
    "/proxies/{proxy_id}/rotate": {"POST": ROTATE},
    "/stacks": {"GET": READ, "POST": WRITE},
    "/stacks/{stack_id}": {"GET": READ, "PATCH": WRITE, "DELETE": WRITE},
    "/stacks/{stack_id}/rotate": {"POST": ROTATE},
    "/stacks/by-name/{name}": {"GET": READ, "PUT": WRITE, "DELETE": WRITE},
    "/rotations": {"GET": READ},
    "/rotations/{rotation_id}": {"GET": READ},
    "/upgrades": {"GET": READ_ALL, "POST": UPGRADE},
    "/upgrades/{upgrade_id}": {"GET": READ_ALL, "PATCH": UPGRADE},
    "/events": {"GET": READ},
    "/usage": {"GET": READ},
    "/lookup": {"GET": READ},
    "/search": {"GET": READ},
    "/labels": {"GET": READ},
    "/links": {"GET": READ, "POST": NEW_LINK},
    "/links/{link_id}": {"GET": READ, "DELETE": WRITE},
    "/webhooks": {"GET": READ_ALL, "POST": NEW_WEBHOOK},
    "/webhooks/{webhook_id}": {"GET": READ_ALL, "PATCH": WRITE_ALL, "DELETE": WRITE_ALL},
    "/webhooks/{webhook_id}/test": {"POST": WRITE_ALL},
    "/license": {"GET": READ_ALL, "PUT": ADMIN},
    "/system": {"GET": READ_ALL},
    "/system/broker": {"GET": READ_ALL, "POST": ADMIN},
    "/system/broker/finish": {"POST": ADMIN},
    "/system/broker/abort": {"POST": ADMIN},
    "/tokens": {"GET": ADMIN, "POST": ADMIN},
    "/tokens/current": {"GET": ANY_TOKEN},
    "/tokens/{token_id}": {"GET": ADMIN, "PATCH": ADMIN, "DELETE": ADMIN},
    "/metrics": {"GET": METRICS},
    "/health/report": {"GET": METRICS},
    "/health/live": {"GET": FREE},
    "/health/ready": {"GET": FREE},
    "/l/{secret}": {"GET": FREE},
    "/api-json": {"GET": FREE},
    "/api": {"GET": FREE},
    "/": {"GET": FREE},
    "/ui/{made}/{name}": {"GET": FREE},
}
"""By the path of the route, as the OpenAPI document spells it."""


def need_of(path: str, method: Method) -> Need | None:
    """Return what a route needs; None: it is not listed, so it is refused. OPTIONS of any route lists its methods."""
    methods = NEEDS.get(path, {})
    if method == "OPTIONS" and methods:
        return FREE if is_all_free(methods) else ANY_TOKEN
    return methods.get(method)


def check_access(access: Access, path: str, method: Method) -> None:
    """Refuse a request that the access does not allow. Raises Unauthorized, Forbidden."""
    need = need_of(path, method)
    if need is None:
        raise Forbidden("this route is for nobody: it is missing in the table of scopes")
    if need.is_free:
        return
    if access == NOBODY:
        raise Unauthorized("this request needs a token")
    if missing := access.missing(need.scopes):
        which = "scope" if len(missing) == 1 else "scopes"
        raise Forbidden(f"the token lacks the {which} {', '.join(missing)}", {"scopes": missing})
    if access.filter is not None and not need.narrowed:
        raise Forbidden("this is about the whole system, and the token is for a part of the fleet", {"scopes": []})


def is_free(path: str) -> bool:
    """Whether the path of a request needs no token, whatever its method: the route itself decides about that."""
    return any(pattern.fullmatch(path) for pattern in free_paths())


def copes_without_database(path: str) -> bool:
    """Whether the path of a request is answered while the database is away."""
    return any(need.without_database for need in NEEDS.get(path, {}).values())


@cache
def free_paths() -> tuple[re.Pattern[str], ...]:
    """Return the paths whose methods are all free. A name at the end may have slashes, as those of files have."""
    free = [path for path, methods in NEEDS.items() if is_all_free(methods)]
    return tuple(re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(path)), re.DOTALL) for path in free)


def is_all_free(methods: Mapping[Method, Need]) -> bool:
    """Whether all methods of a path are free."""
    return all(need.is_free for need in methods.values())
