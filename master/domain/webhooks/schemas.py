"""The bodies, queries and resources of webhooks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from master.domain.events.schemas import EventId, EventPattern
from master.domain.webhooks.callback_urls import MAX_LETTERS, target
from master.schemas.base import RequestBody, Resource, omitted
from master.schemas.fields import LocationName, NodeName, StackNamed, distinct
from master.schemas.pages import Page
from master.schemas.sorting import SortById, Sorted
from shared.proxies import Id

WebhookState = Literal["active", "failing", "disabled"]


MOST_TYPES = 64
MOST_LAG = 10_000
"""Undelivered events are counted up to this number."""

CallbackUrl = Annotated[str, Field(min_length=1, max_length=MAX_LETTERS), AfterValidator(target)]
SubscribedTypes = Annotated[list[EventPattern], Field(max_length=MOST_TYPES), AfterValidator(distinct)]
URL_WORDS = "The http or https URL to which events are posted."
TYPES_WORDS = "Types of events, or all of a kind, as in `proxy.*`. Empty: all."
AFTER_WORDS = "Deliver the events after the one with this id."
WEBHOOK: dict[str, JsonValue] = {
    "id": 1,
    "url": "https://example.org/hook",
    "types": ["proxy.*", "node.offline"],
    "node_id": None,
    "proxy_id": None,
    "stack_id": None,
    "location_id": None,
    "enabled": True,
    "state": "active",
    "position": 42,
    "lag": 0,
    "failures": 0,
    "last_error": None,
    "last_delivered_at": "2026-05-01T09:30:01Z",
    "next_at": None,
    "created_at": "2026-05-01T09:00:00Z",
    "updated_at": "2026-05-01T09:00:00Z",
}
"""An example."""


class NewWebhook(RequestBody):
    """A webhook to create."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.org/hook", "types": ["proxy.*", "node.offline"]}]}
    )

    url: CallbackUrl = Field(description=URL_WORDS)
    types: SubscribedTypes = Field(default_factory=list[str], description=TYPES_WORDS)
    node_id: Id | None = Field(default=None, description="Only events of this node.")
    proxy_id: Id | None = Field(default=None, description="Only events of this proxy.")
    stack_id: Id | None = Field(default=None, description="Only events of this stack.")
    location_id: Id | None = Field(default=None, description="Only events of this location and its nodes.")
    node: NodeName = None
    stack: StackNamed = None
    location: LocationName = None
    enabled: bool = Field(default=True, description="Whether events are delivered.")
    after: EventId | None = Field(default=None, description=f"{AFTER_WORDS} Default: the events from now on.")


class WebhookPatch(RequestBody):
    """A change of a webhook; omitted members stay as they are. After any change the next try follows at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True, "types": []}]})

    url: CallbackUrl = Field(default_factory=omitted, description=URL_WORDS)
    types: SubscribedTypes = Field(default_factory=omitted, description=TYPES_WORDS)
    node_id: Id | None = Field(default_factory=omitted, description="Only events of this node. null: of all.")
    proxy_id: Id | None = Field(default_factory=omitted, description="Only events of this proxy. null: of all.")
    stack_id: Id | None = Field(default_factory=omitted, description="Only events of this stack. null: of all.")
    location_id: Id | None = Field(default_factory=omitted, description="Only events of this location. null: of all.")
    node: NodeName = Field(default_factory=omitted)
    stack: StackNamed = Field(default_factory=omitted)
    location: LocationName = Field(default_factory=omitted)
    enabled: bool = Field(default_factory=omitted, description="Whether events are delivered.")
    after: EventId = Field(default_factory=omitted, description=AFTER_WORDS)


class WebhookList(Sorted[SortById]):
    """A page of webhooks."""


class Webhook(Resource):
    """An address to which events are posted, in order and at least once each."""

    model_config = ConfigDict(json_schema_extra={"examples": [WEBHOOK]})

    id: int
    url: str
    types: list[str] = Field(description=TYPES_WORDS)
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    enabled: bool = Field(description="Whether events are delivered.")
    state: WebhookState = Field(description="`failing`: the last try failed and is repeated at `next_at`.")
    position: int = Field(
        description="The id of the last event that was delivered or that the webhook does not select."
    )
    lag: int = Field(description=f"The number of events to deliver, at most {MOST_LAG}.")
    failures: int = Field(description="The number of tries in a row that failed.")
    last_error: str | None = Field(description="Why the last try failed.")
    last_delivered_at: datetime | None = Field(description="The time of the last delivery.")
    next_at: datetime | None = Field(description="The time of the next try after one that failed.")
    created_at: datetime
    updated_at: datetime


class WebhookCreated(Webhook):
    """A webhook that was just created, with its secret."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**WEBHOOK, "secret": "whsec_c2VjcmV0IG9mIGEgd2ViaG9vaw=="}]}
    )

    secret: str = Field(repr=False, description="The key that signs its messages. It is shown this once.")


class Delivery(Resource):
    """The outcome of a delivery."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ok": True, "status": 204, "reason": None, "latency_ms": 38}]}
    )

    ok: bool = Field(description="Whether the receiver accepted the message.")
    status: int | None = Field(description="The status of the receiver's answer.")
    reason: str | None = Field(description="Why the message was not delivered.")
    latency_ms: int = Field(description="Milliseconds until the answer or the failure.")


class WebhookPage(Page[Webhook]):
    """A page of webhooks."""
