"""Sums of what was used, as the API shows them."""

from datetime import date, datetime

from pydantic import Field

from master.model import Shown


class Usage(Shown):
    """What was used in all; the members that it is not summed up by are null."""

    hour: datetime | None = Field(description="in which; days more than 90 days ago stand at their midnight (UTC)")
    day: date | None = Field(description="in which (UTC)")
    proxy_id: int | None = Field(description="proxies that are no more keep their usage")
    proxy_name: str | None
    node_id: int | None
    stack_id: int | None = Field(description="stacks that are no more keep their usage")
    received_bytes: int = Field(description="from clients")
    sent_bytes: int = Field(description="to clients")
    connections: int
    refused: dict[str, int] = Field(description="connections that were refused, by reason")
