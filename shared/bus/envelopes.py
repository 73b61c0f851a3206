"""Envelopes: messages to publish and messages received, independent of the driver."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from shared.messages.bodies import Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message to publish. `round` becomes its correlation_id; None stands for the message's own id."""

    exchange: str
    key: str
    type: str
    body: bytes
    header: Header | None
    round: str | None = None
    extra: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A message that the broker delivered. It has verified `user_id`, unless that is None."""

    type: str | None
    body: bytes
    headers: dict[str, Any]
    message_id: str | None
    round: str | None
    user_id: str | None
    key: str


def outgoing(message: Outgoing, message_id: str, *, program: str, login: str) -> Message:
    """Convert a message to the driver's form, with all its properties."""
    headers = message.header.model_dump(mode="json", exclude_defaults=True) if message.header else {}
    return Message(
        message.body,
        headers={**headers, **message.extra},
        content_type="application/json",
        type=message.type,
        message_id=message_id,
        correlation_id=message.round or message_id,
        timestamp=datetime.now(UTC),
        app_id=f"maybe-{program}",
        user_id=login,
        delivery_mode=DeliveryMode.NOT_PERSISTENT,
    )


def incoming(message: AbstractIncomingMessage) -> Incoming:
    """Convert a message from the driver's form."""
    return Incoming(
        type=message.type,
        body=message.body,
        headers=dict(message.headers),
        message_id=message.message_id,
        round=message.correlation_id,
        user_id=message.user_id,
        key=message.routing_key or "",
    )
