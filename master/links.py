"""Links: addresses by which proxies can be listed or rotated without any other permission."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from master.conflicts import pointed
from master.db import Row, Session
from master.errors import NotFound, TooSoon
from master.events import Event, record_events
from master.exports import ExportFormat
from master.fields import ID_BY_NAME
from master.instants import Moment
from master.model import SaidAs, Shown
from master.questions import Paging
from master.questions.proxies import ProxyFilter, Template
from master.wishes import Wish
from master.wishes.rotation import RotateWish

LinkKind = Literal["list", "rotate"]

SECRET_BYTES = 24
MOST_INTERVAL_S = 31 * 86_400


class NewLink(Wish):
    """What a link gives to whoever has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "list", "filter": {"location_id": 1, "state": "running"}},
                {"kind": "rotate", "filter": {"name": "mine"}, "rotate": {"what": ["exit"]}, "min_interval_s": 30},
            ]
        }
    )

    kind: LinkKind = Field(
        description="list: the proxies that the filter matches, as GET /proxies/export gives them; rotate: begins to "
        "rotate them all"
    )
    filter: ProxyFilter = Field(default_factory=ProxyFilter, description="as in the list of proxies")
    rotate: RotateWish | None = Field(default=None, description="how, as in POST /proxies/{id}/rotate")
    format: ExportFormat = "plain"
    template: Template | None = Field(default=None, description="instead of a format")
    min_interval_s: int = Field(default=0, ge=0, le=MOST_INTERVAL_S, description="between two uses, by anybody")
    expires_at: Moment | None = Field(default=None, description="in the future; null: never")

    @model_validator(mode="after")
    def says_how(self) -> Self:
        """Raises ValueError."""
        if (self.kind == "rotate") != (self.rotate is not None):
            raise ValueError("rotate is given for links that rotate, and for no others")
        return self


class Link(Shown):
    """A link without its secret, which is not kept."""

    id: int
    kind: LinkKind
    filter: Annotated[dict[str, Any], SaidAs(ProxyFilter)]
    rotate: Annotated[dict[str, Any], SaidAs(RotateWish)] | None
    format: ExportFormat
    template: str | None
    min_interval_s: int
    expires_at: datetime | None
    used_at: datetime | None = Field(description="the last time")
    created_at: datetime


class LinkList(Paging):
    """A page of links."""


class LinkMade(Link):
    """A link that has just been made."""

    path: str = Field(repr=False, description="of the link on this API, secret and all; it is shown this once")
    url: str = Field(repr=False, description="the same as seen by whoever asked for it")


def hashed(secret: str) -> str:
    """As it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def kept_filter(asked: ProxyFilter) -> dict[str, Any]:
    """What was said of it, as it can be read again."""
    said = asked.model_dump(mode="json", exclude_unset=True, exclude={"label", *ID_BY_NAME})
    return {**said, **({"label": [f"{key}:{value}" for key, value in asked.label]} if asked.label else {})}


async def create(session: Session, wish: NewLink, base_url: str) -> LinkMade:
    """With its secret, which is never shown again. Raises Invalid."""
    if wish.expires_at is not None and wish.expires_at <= await session.value("links.clock"):
        raise pointed("expires_at is in the past", "/expires_at")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    settings = {**wish.model_dump(exclude={"filter": True, "rotate": {"nodes"}}), "filter": kept_filter(wish.filter)}
    made = dict(await session.row("links.insert", **settings, secret_hash=hashed(secret)) or {})
    details = {"link_id": made["id"], "kind": wish.kind}
    await record_events(session, [Event(type="link.created", details=details)])
    path = f"/l/{secret}"
    return LinkMade(**made, path=path, url=base_url.rstrip("/") + path)


async def page(session: Session, asked: LinkList) -> list[Link]:
    """By id."""
    rows = await session.rows("links.select_page", id=None, after=asked.after, limit=asked.limit)
    return [Link.model_validate(row) for row in rows]


async def get(session: Session, id_: int) -> Link:
    """Raises NotFound."""
    return Link.model_validate(known(id_, await session.row("links.select_page", id=id_, after=0, limit=1)))


async def remove(session: Session, id_: int) -> None:
    """At once. Raises NotFound."""
    row = known(id_, await session.row("links.delete", id=id_))
    details = {"link_id": id_, "kind": row["kind"]}
    await record_events(session, [Event(type="link.deleted", details=details)])


async def use(session: Session, secret: str) -> Row:
    """What the link is for. Raises NotFound for one that is unknown or over, TooSoon."""
    row = await session.row("links.claim", secret_hash=hashed(secret))
    if row is not None:
        return row
    wait_s = await session.value("links.wait_s", secret_hash=hashed(secret))
    if wait_s is None:
        raise NotFound("there is no such link")
    raise TooSoon("the link was used too recently", {"retry_after_s": wait_s})


def known(id_: int, row: Row | None) -> Row:
    """The row, or NotFound."""
    if row is None:
        raise NotFound(f"there is no link {id_}", {"link_id": id_})
    return row
