"""Media types of what the API answers."""

from enum import StrEnum


class MediaType(StrEnum):
    """The media types of answers, without a charset: text is UTF-8, which `master.api.encoding` adds once."""

    JSON = "application/json"
    PROBLEM = "application/problem+json"
    TEXT = "text/plain"
    CSV = "text/csv"
    HTML = "text/html"
    CSS = "text/css"
    JAVASCRIPT = "text/javascript"
    SVG = "image/svg+xml"
    EVENTS = "text/event-stream"
    METRICS = "text/plain; version=0.0.4"

    @property
    def essence(self) -> str:
        """The type without parameters, as the OpenAPI document names it."""
        return self.partition(";")[0]
