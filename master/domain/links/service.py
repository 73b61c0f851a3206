"""Create, read, use and remove links."""

import hashlib
import secrets
from typing import Any

from master.db.constraints import existing
from master.db.database import Row, Session
from master.db.narrowing import Narrowing
from master.domain.events.log import NewEvent, record_events
from master.domain.links.schemas import Link, LinkCreated, LinkList, LinkPage, NewLink
from master.domain.proxies.schemas import ProxyFilter
from master.errors import NotFound, TooSoon, invalid_at
from master.schemas.access import TokenFilter
from master.schemas.fields import ID_BY_NAME

SECRET_BYTES = 24


def secret_hash(secret: str) -> str:
    """Return the hash under which a secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def filter_of(link: Row) -> TokenFilter | None:
    """Return the filter of the token that made the link."""
    return None if link["token_filter"] is None else TokenFilter.model_validate(link["token_filter"])


def stored_filter(query: ProxyFilter) -> dict[str, Any]:
    """Return the given members of a filter, in the form of a request."""
    return query.model_dump(mode="json", exclude_unset=True, exclude={*ID_BY_NAME}, by_alias=True)


async def create(session: Session, body: NewLink, base_url: str) -> LinkCreated:
    """Create a link. The secret is returned here and never again. Raises Invalid."""
    if body.expires_at is not None and body.expires_at <= await session.value("links.clock"):
        raise invalid_at("expires_at is in the past", "/expires_at")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    settings = {**body.model_dump(exclude={"filter": True, "rotate": {"nodes"}}), "filter": stored_filter(body.filter)}
    token_filter = None if session.narrowing is None else session.narrowing.stored
    stored = {**settings, "secret_hash": secret_hash(secret), "token_filter": token_filter}
    created = dict(await session.row("links.insert", **stored) or {})
    details = {"link_id": created["id"], "kind": body.kind}
    await record_events(session, [NewEvent(type="link.created", details=details)])
    path = f"/l/{secret}"
    return LinkCreated(**created, path=path, url=base_url.rstrip("/") + path)


async def page(session: Session, query: LinkList) -> LinkPage:
    """Return a page of links."""
    rows = await session.rows(f"links.select_page by {query.sort}", **query.position)
    return LinkPage(items=[Link.model_validate(row) for row in rows], next=query.next_after(rows))


async def get(session: Session, id_: int) -> Link:
    """Return one link. Raises NotFound."""
    return Link.model_validate(existing(await session.row("links.select_one", id=id_), "link", id_))


async def remove(session: Session, id_: int) -> None:
    """Remove a link; it ends at once. Raises NotFound."""
    row = existing(await session.row("links.delete", id=id_), "link", id_)
    details = {"link_id": id_, "kind": row["kind"]}
    await record_events(session, [NewEvent(type="link.deleted", details=details)])


async def use(session: Session, secret: str) -> Row:
    """Count one use and return the link's purpose; the rest of the transaction is for its part of the fleet.

    Raises NotFound for an unknown or expired one, TooSoon.
    """
    row = await session.row("links.claim", secret_hash=secret_hash(secret))
    if row is not None:
        if (filter_ := filter_of(row)) is not None:
            await session.narrow(Narrowing(filter_), for_transaction=True)
        return row
    wait_s = await session.value("links.wait_s", secret_hash=secret_hash(secret))
    if wait_s is None:
        raise NotFound("there is no such link")
    raise TooSoon("the link was used too recently", {"retry_after_s": wait_s})
