"""Bodies of answers that are not one thing: pages, outcomes, health."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from master.cursors import cursor
from master.events import Loss
from master.links import Link
from master.model import Shown
from master.model.events import Event
from master.model.locations import Location
from master.model.nodes import Node
from master.model.proxies import Proxy
from master.model.usage import Usage
from master.stack_forms import Stack
from master.subscriptions import Webhook


class LocationPage(Shown):
    """Locations by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Location]
    next: str | None


class NodePage(Shown):
    """Nodes by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Node]
    next: str | None


class ProxyPage(Shown):
    """Proxies by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Proxy]
    next: str | None


class StackPage(Shown):
    """Stacks by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Stack]
    next: str | None


class EventPage(Shown):
    """Events, oldest first; `next` goes into `after`, null when there is no more as yet (ids serve as well)."""

    items: list[Event]
    next: int | None
    reset: Loss | None = Field(
        description="why events after `after` are missing: older than what is kept, or the database went back"
    )


class WebhookPage(Shown):
    """Webhooks by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Webhook]
    next: str | None


class LinkPage(Shown):
    """Links by id; `next` goes into `after` for the following page, null when there is none."""

    items: list[Link]
    next: str | None


class UsagePage(Shown):
    """Sums in order; `next` goes into `after` for the following page, null when there is none."""

    items: list[Usage]
    next: str | None


class FleetOutcome(Shown):
    """What a change by filter did."""

    matched: int
    changed: int


class Live(Shown):
    """The program runs."""

    status: Literal["ok"] = "ok"


class Ready(Shown):
    """Degraded: the broker is away; what is asked is done when it is back."""

    status: Literal["ok", "degraded"]
    database: Literal["up"] = "up"
    broker: str


def next_cursor(items: Sequence[Location | Node | Proxy | Stack], limit: int) -> str | None:
    """Where the list goes on; a full page may be followed by an empty one."""
    return cursor(items[-1].id) if len(items) == limit else None
