"""Webhooks, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from master.domain.events.schemas import EventId, EventPattern
from master.domain.webhooks.callback_urls import MAX_LETTERS, target
from master.schemas.base import Paging, RequestBody, Resource, omitted
from master.schemas.fields import LocationName, NodeName, StackNamed, distinct
from master.schemas.pages import Page
from shared.proxies import Id

WebhookState = Literal["active", "failing", "disabled"]


MOST_TYPES = 64
MOST_LAG = 10_000
"""Events behind are counted up to here."""

CallbackUrl = Annotated[str, Field(min_length=1, max_length=MAX_LETTERS), AfterValidator(target)]
SubscribedTypes = Annotated[list[EventPattern], Field(max_length=MOST_TYPES), AfterValidator(distinct)]
TYPES_WORDS = "types of events, or all of a kind as in proxy.*; empty: all"
AFTER_WORDS = "deliver what came after this event"


class NewWebhook(RequestBody):
    """Where events shall be told, and which."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.org/hook", "types": ["proxy.*", "node.offline"]}]}
    )

    url: CallbackUrl
    types: SubscribedTypes = Field(default_factory=list[str], description=TYPES_WORDS)
    node_id: Id | None = None
    proxy_id: Id | None = None
    stack_id: Id | None = None
    location_id: Id | None = None
    node: NodeName = None
    stack: StackNamed = None
    location: LocationName = None
    enabled: bool = True
    after: EventId | None = Field(default=None, description=f"{AFTER_WORDS}; what comes from now on when none is given")


class WebhookPatch(RequestBody):
    """What shall be otherwise of a webhook. Whatever is changed, the next try comes at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True, "types": []}]})

    url: CallbackUrl = Field(default_factory=omitted)
    types: SubscribedTypes = Field(default_factory=omitted, description=TYPES_WORDS)
    node_id: Id | None = Field(default_factory=omitted)
    proxy_id: Id | None = Field(default_factory=omitted)
    stack_id: Id | None = Field(default_factory=omitted)
    location_id: Id | None = Field(default_factory=omitted)
    node: NodeName = Field(default_factory=omitted)
    stack: StackNamed = Field(default_factory=omitted)
    location: LocationName = Field(default_factory=omitted)
    enabled: bool = Field(default_factory=omitted)
    after: EventId = Field(default_factory=omitted, description=AFTER_WORDS)


class WebhookList(Paging):
    """A page of webhooks."""


class Webhook(Resource):
    """Where events are told, in order and at least once each."""

    id: int
    url: str
    types: list[str] = Field(description=TYPES_WORDS)
    node_id: int | None
    proxy_id: int | None
    stack_id: int | None
    location_id: int | None
    enabled: bool
    state: WebhookState = Field(description="failing: the last try failed, and is repeated at next_at")
    position: int = Field(description="the last event that was delivered or passed over")
    lag: int = Field(description=f"events that are still to be delivered; {MOST_LAG} or more are {MOST_LAG}")
    failures: int = Field(description="tries in a row that failed")
    last_error: str | None = Field(description="why the last try failed")
    last_delivered_at: datetime | None
    next_at: datetime | None = Field(description="of the next try, after one that failed")
    created_at: datetime
    updated_at: datetime


class WebhookCreated(Webhook):
    """A webhook that has just been made."""

    secret: str = Field(repr=False, description="signs its messages; it is shown this once")


class Delivery(Resource):
    """What became of a message."""

    ok: bool
    status: int | None = Field(description="of the receiver's answer")
    reason: str | None = Field(description="why it was not delivered")
    latency_ms: int


class WebhookPage(Page[Webhook]):
    """A page of webhooks, ordered by id."""
