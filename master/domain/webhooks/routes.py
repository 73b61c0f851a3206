"""/webhooks"""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.db.database import Database, Session
from master.domain.webhooks import service as webhooks
from master.domain.webhooks.delivery import DeliveryRunner
from master.domain.webhooks.schemas import (
    Delivery,
    NewWebhook,
    Webhook,
    WebhookCreated,
    WebhookList,
    WebhookPage,
    WebhookPatch,
)


@get("/", summary="List webhooks", opt=documented(answers={200: "A page of webhooks."}))
async def list_webhooks(database: Injected[Database], parameters: Injected[WebhookList]) -> WebhookPage:
    """List the webhooks, one page at a time."""
    async with database.session() as session:
        return await webhooks.page(session, parameters)


@post(
    "/",
    summary="Create a webhook",
    opt=documented(answers={201: "The webhook was created. Its secret is shown this once."}),
)
async def create_webhook(
    data: JSONBody[NewWebhook],
    database: Injected[Database],
    deliveries: Injected[DeliveryRunner],
    idempotency_key: Injected[IdempotencyKey],
) -> Response[WebhookCreated]:
    """Post the events that the webhook selects to its `url`: each alone, in order, at least once, until it is accepted.

    A message is `{"type", "timestamp", "data": {the event as in /events}}`, signed as Standard Webhooks specifies:
    `webhook-signature` is `v1,` followed by the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`.
    The key is the base64 text after `whsec_` in the secret, decoded. A message that is repeated has the same
    `webhook-id`. Any answer but 2xx within 10 s, redirects included, is a failure; the message is then tried again
    after 1 s to 1 h. The answer 410 disables the webhook.
    """

    async def act(session: Session) -> StoredResponse:
        body = await with_ids(session, data)
        created = await webhooks.create(session, body, allow_private=deliveries.allow_private)
        return stored_response(created, 201, {"Location": f"/webhooks/{created.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    deliveries.refresh()
    return replay(stored, is_repeated=is_repeated)


@get("/{webhook_id:int}", summary="Show a webhook", opt=documented(answers={200: "The webhook."}))
async def show_webhook(webhook_id: PathId, database: Injected[Database]) -> Webhook:
    """Show one webhook, how far its deliveries have come, and why they stopped if they did."""
    async with database.session() as session:
        return await webhooks.get(session, webhook_id)


@patch("/{webhook_id:int}", summary="Change a webhook", opt=documented(answers={200: "The webhook after the change."}))
async def change_webhook(
    webhook_id: PathId,
    data: JSONBody[WebhookPatch],
    database: Injected[Database],
    deliveries: Injected[DeliveryRunner],
) -> Webhook:
    """Change the members that are in the body. After any change the next try follows at once.

    A disabled webhook that is enabled continues where it stopped, unless `after` is given.
    """
    async with database.transaction() as session:
        body = await with_ids(session, data)
        changed = await webhooks.change(session, webhook_id, body, allow_private=deliveries.allow_private)
    deliveries.refresh()
    return changed


@delete("/{webhook_id:int}", summary="Remove a webhook", opt=documented(answers={204: "The webhook was removed."}))
async def remove_webhook(webhook_id: PathId, database: Injected[Database]) -> None:
    """Remove a webhook. A message that is being delivered may still arrive."""
    async with database.transaction() as session:
        await webhooks.remove(session, webhook_id)


@post(
    "/{webhook_id:int}/test",
    status_code=200,
    summary="Send a test message",
    opt=documented(answers={200: "The outcome of the delivery. A delivery that fails is reported here, too."}),
)
async def test_webhook(
    webhook_id: PathId, database: Injected[Database], deliveries: Injected[DeliveryRunner]
) -> Delivery:
    """Send one message of the type `webhook.test`, signed like all others. It is not repeated."""
    async with database.session() as session:
        hook = await webhooks.target_of(session, webhook_id)
    return await deliveries.test(hook)


router = Router(
    "/webhooks",
    route_handlers=[list_webhooks, create_webhook, show_webhook, change_webhook, remove_webhook, test_webhook],
)
