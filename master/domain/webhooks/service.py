"""Webhooks: making, showing, changing and removing them."""

from typing import Any

from master.db.database import Row, Session
from master.db.rows import existing
from master.domain.webhooks.callback_urls import private_literal
from master.domain.webhooks.schemas import MOST_LAG, NewWebhook, Webhook, WebhookCreated, WebhookList, WebhookPatch
from master.domain.webhooks.signing import new_secret, shown
from master.errors import pointed
from master.schemas.fields import ID_BY_NAME


async def get(session: Session, id_: int) -> Webhook:
    """Raises NotFound."""
    rows = await session.rows("webhooks.select_page", id=id_, after=0, limit=1, most_lag=MOST_LAG)
    return shown(existing(rows[0] if rows else None, "webhook", id_))


async def page(session: Session, query: WebhookList) -> list[Webhook]:
    """By id."""
    rows = await session.rows("webhooks.select_page", id=None, after=query.after, limit=query.limit, most_lag=MOST_LAG)
    return [shown(row) for row in rows]


async def create(session: Session, body: NewWebhook, *, allow_private: bool) -> WebhookCreated:
    """With its secret, which is never shown again. Raises Invalid."""
    check_target(body.url, allow_private=allow_private)
    secret = new_secret()
    id_ = await session.value("webhooks.insert", **body.model_dump(exclude={*ID_BY_NAME}), secret=secret)
    made = await get(session, id_)
    return WebhookCreated(**made.model_dump(), secret=secret)


async def change(session: Session, id_: int, body: WebhookPatch, *, allow_private: bool) -> Webhook:
    """Raises NotFound, Invalid."""
    given = body.given()
    now = existing(await session.row("webhooks.lock", id=id_), "webhook", id_)
    if "url" in given:
        check_target(given["url"], allow_private=allow_private)
    settings: dict[str, Any] = {**now, **given}
    await session.execute("webhooks.update", **settings)
    return await get(session, id_)


async def remove(session: Session, id_: int) -> None:
    """Raises NotFound."""
    existing(await session.row("webhooks.delete", id=id_), "webhook", id_)


async def target_of(session: Session, id_: int) -> Row:
    """Its address and secret. Raises NotFound."""
    return existing(await session.row("webhooks.select_target", id=id_), "webhook", id_)


def check_target(url: str, *, allow_private: bool) -> None:
    """Raises Invalid. A name is looked up when it is called."""
    if not allow_private and private_literal(url):
        raise pointed("is private, and WEBHOOK_ALLOW_PRIVATE is not set", "/url")
