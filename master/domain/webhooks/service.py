"""Read, create, change and remove webhooks."""

from typing import Any

from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.webhooks.callback_urls import private_literal
from master.domain.webhooks.schemas import (
    MOST_LAG,
    NewWebhook,
    Webhook,
    WebhookCreated,
    WebhookList,
    WebhookPage,
    WebhookPatch,
)
from master.domain.webhooks.signing import new_secret, webhook_from_row
from master.errors import invalid_at
from master.schemas.fields import ID_BY_NAME


async def get(session: Session, id_: int) -> Webhook:
    """Return one webhook. Raises NotFound."""
    row = await session.row("webhooks.select_one", id=id_, max_lag=MOST_LAG)
    return webhook_from_row(existing(row, "webhook", id_))


async def page(session: Session, query: WebhookList) -> WebhookPage:
    """Return a page of webhooks."""
    rows = await session.rows(f"webhooks.select_page by {query.sort}", **query.position, max_lag=MOST_LAG)
    return WebhookPage(items=[webhook_from_row(row) for row in rows], next=query.next_after(rows))


async def create(session: Session, body: NewWebhook, *, allow_private: bool) -> WebhookCreated:
    """Create a webhook. Its secret is returned here and never again. Raises Invalid."""
    check_target(body.url, allow_private=allow_private)
    secret = new_secret()
    id_ = await session.value("webhooks.insert", **body.model_dump(exclude={*ID_BY_NAME}), secret=secret)
    created = await get(session, id_)
    return WebhookCreated(**created.model_dump(), secret=secret)


async def change(session: Session, id_: int, body: WebhookPatch, *, allow_private: bool) -> Webhook:
    """Change a webhook. Raises NotFound, Invalid."""
    given = body.given()
    now = existing(await session.row("webhooks.lock", id=id_), "webhook", id_)
    if "url" in given:
        check_target(given["url"], allow_private=allow_private)
    settings: dict[str, Any] = {**now, **given}
    await session.execute("webhooks.update", **settings)
    return await get(session, id_)


async def remove(session: Session, id_: int) -> None:
    """Remove a webhook. Raises NotFound."""
    existing(await session.row("webhooks.delete", id=id_), "webhook", id_)


async def target_of(session: Session, id_: int) -> Row:
    """Return the URL and secret of a webhook. Raises NotFound."""
    return existing(await session.row("webhooks.select_target", id=id_), "webhook", id_)


def check_target(url: str, *, allow_private: bool) -> None:
    """Refuse a literal private address; names are resolved at each call. Raises Invalid."""
    if not allow_private and private_literal(url):
        raise invalid_at("is private, and WEBHOOK_ALLOW_PRIVATE is not set", "/url")
