"""Templates of exported lines, and the fields that they may name. Pure."""

from collections.abc import Mapping
from string import Formatter
from typing import Literal, get_args

ExportFormat = Literal["plain", "url", "csv", "json"]
ExportField = Literal[
    "id", "name", "location_id", "node_id", "protocol", "host", "ip", "port", "username", "password", "url", "state"
]

FIELDS: tuple[ExportField, ...] = get_args(ExportField)
"""The placeholders of templates. `host` is written as in URLs, an IPv6 address in brackets; `ip` has no brackets."""
BY_NAME: Mapping[str, ExportField] = {field: field for field in FIELDS}


def pieces(template: str) -> list[tuple[str, ExportField | None]]:
    """Split a template into pairs (text, field after it). A doubled brace is a literal one. Raises ValueError."""
    found: list[tuple[str, ExportField | None]] = []
    for text, name, spec, conversion in Formatter().parse(template):
        field = BY_NAME.get(name or "")
        if name is not None and (field is None or spec or conversion):
            raise ValueError(f"no such placeholder: one of {', '.join(f'{{{field}}}' for field in FIELDS)}")
        found.append((text, field))
    return found


def checked_template(template: str) -> str:
    """Return the template unchanged. Raises ValueError when it is invalid."""
    pieces(template)
    return template
