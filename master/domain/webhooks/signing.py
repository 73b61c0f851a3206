"""What a webhook is: the bodies that say so, how it is shown, and how its messages are signed."""

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
    """In the form of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Of a message (Standard Webhooks 1.0.0, symmetric): HMAC-SHA256 over id, seconds since 1970 and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def payload(event: Event) -> bytes:
    """The body that tells of an event."""
    shown = event.model_dump(mode="json")
    return json.dumps({"type": event.type, "timestamp": shown["at"], "data": shown}, separators=(",", ":")).encode()


def choice(row: Row) -> EventFilter:
    """Which events a webhook's receiver wants."""
    subjects = {name: row[name] for name in SUBJECTS if row[name] is not None}
    return EventFilter(frozenset(row["types"]), subjects)


def shown(row: Row) -> Webhook:
    """Out of a row of `webhooks` with its lag."""
    state: WebhookState = "disabled" if not row["enabled"] else "failing" if row["failures"] else "active"
    fields: dict[str, Any] = {name: row[name] for name in Webhook.model_fields if name in row}
    if state != "failing":
        fields["next_at"] = None
    return Webhook.model_validate({**fields, "state": state})
