"""/webhooks"""

from typing import Any

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.idempotency import StoredResponse
from master.api.names import with_ids
from master.api.openapi.route_docs import IDEMPOTENCY_KEY, documented
from master.api.requests.reading import ApiRequest, PathId, read_body, read_query
from master.api.responses import keyed_request_of, once, resource_response, response, stored_response
from master.db.database import Session
from master.domain.webhooks import service as webhooks
from master.domain.webhooks.schemas import (
    Delivery,
    NewWebhook,
    Webhook,
    WebhookCreated,
    WebhookList,
    WebhookPage,
    WebhookPatch,
)
from master.schemas.cursors import cursor


@get("/", summary="List webhooks", opt=documented(query=WebhookList, answers={200: WebhookPage}))
async def list_webhooks(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time."""
    asked = read_query(request, WebhookList)
    async with wiring.database.session() as session:
        items = await webhooks.page(session, asked)
    return resource_response(WebhookPage(items=items, next=cursor(items[-1].id) if len(items) == asked.limit else None))


@post(
    "/",
    summary="Make a webhook",
    opt=documented(
        body=NewWebhook,
        answers={201: WebhookCreated},
        headers=(IDEMPOTENCY_KEY,),
        gives=("Location", "Idempotency-Replayed"),
    ),
)
async def create_webhook(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Events that it names are posted to its url, each by itself, in order, at least once, for as long as it takes.

    A message is `{"type", "timestamp", "data": {the event as in /events}}`, signed as Standard Webhooks has it:
    `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, by the
    base64 after `whsec_` in the secret. A message that comes again has the same `webhook-id`. Anything but 2xx within
    10 s, redirects included, is tried again after 1 s to 1 h; 410 disables the webhook.
    """
    wish = await read_body(request, NewWebhook)

    async def act(session: Session) -> StoredResponse:
        wanted = await with_ids(session, wish)
        made = await webhooks.create(session, wanted, allow_private=wiring.deliveries.allow_private)
        return stored_response(made, 201, {"Location": f"/webhooks/{made.id}"})

    given, replayed = await once(wiring, keyed_request_of(request, wish), act)
    wiring.deliveries.refresh()
    return response(given, replayed=replayed)


@get("/{webhook_id:int}", summary="Show a webhook", opt=documented(answers={200: Webhook}))
async def show_webhook(webhook_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """How far it has come, and why not further."""
    async with wiring.database.session() as session:
        return resource_response(await webhooks.get(session, webhook_id))


@patch("/{webhook_id:int}", summary="Change a webhook", opt=documented(body=WebhookPatch, answers={200: Webhook}))
async def change_webhook(request: ApiRequest, webhook_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Only what is given. A disabled one that is enabled goes on where it stopped, unless `after` says otherwise."""
    wish = await read_body(request, WebhookPatch)
    async with wiring.database.transaction() as session:
        wish = await with_ids(session, wish)
        changed = await webhooks.change(session, webhook_id, wish, allow_private=wiring.deliveries.allow_private)
    wiring.deliveries.refresh()
    return resource_response(changed)


@delete("/{webhook_id:int}", summary="Remove a webhook", opt=documented(answers={204: None}))
async def remove_webhook(webhook_id: PathId, wiring: NamedDependency[Wiring]) -> None:
    """What is on its way may still come."""
    async with wiring.database.transaction() as session:
        await webhooks.remove(session, webhook_id)


@post(
    "/{webhook_id:int}/test",
    status_code=200,
    summary="Send a test message",
    opt=documented(answers={200: Delivery}),
)
async def test_webhook(webhook_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One message of the type `webhook.test`, signed like all, and what became of it; it is not repeated."""
    async with wiring.database.session() as session:
        hook = await webhooks.target_of(session, webhook_id)
    return resource_response(await wiring.deliveries.test(hook))


router = Router(
    "/webhooks",
    route_handlers=[list_webhooks, create_webhook, show_webhook, change_webhook, remove_webhook, test_webhook],
)
