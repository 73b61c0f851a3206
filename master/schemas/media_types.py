"""Media types of what the API answers."""

from enum import StrEnum


class MediaType(StrEnum):
    """Every media type of an answer, without its charset: text is UTF-8, and `master.api.encoding` says so once."""

    JSON = "application/json"
    PROBLEM = "application/problem+json"
    TEXT = "text/plain"
    CSV = "text/csv"
    HTML = "text/html"
    CSS = "text/css"
    JAVASCRIPT = "text/javascript"
    EVENTS = "text/event-stream"
    METRICS = "text/plain; version=0.0.4"

    @property
    def essence(self) -> str:
        """The type without parameters, as the OpenAPI document names it."""
        return self.partition(";")[0]
