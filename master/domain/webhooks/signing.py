"""Messages of webhooks: their events, bodies and signatures."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from master.domain.events.schemas import SUBJECTS, Event, EventFilter
from master.domain.webhooks.schemas import Webhook, WebhookState
from master.schemas.base import Row

SECRET_BYTES = 32


def new_secret() -> str:
    """Return a random secret in the form of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message (Standard Webhooks 1.0.0, symmetric): HMAC-SHA256 over id, seconds since 1970 and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def payload(event: Event) -> bytes:
    """Return the body of the message about an event."""
    fields = event.model_dump(mode="json")
    return json.dumps({"type": event.type, "timestamp": fields["at"], "data": fields}, separators=(",", ":")).encode()


def event_filter(row: Row) -> EventFilter:
    """Return the filter of the events that a webhook subscribes to."""
    members = {name: row[name] for name in SUBJECTS if row[name] is not None}
    return EventFilter(frozenset(row["types"]), members)


def webhook_from_row(row: Row) -> Webhook:
    """Build a webhook from its row and lag."""
    state: WebhookState = "disabled" if not row["enabled"] else "failing" if row["failures"] else "active"
    fields: dict[str, Any] = {name: row[name] for name in Webhook.model_fields if name in row}
    if state != "failing":
        fields["next_at"] = None
    return Webhook.model_validate({**fields, "state": state})
