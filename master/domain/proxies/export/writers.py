"""Lists of proxies as text, in the formats that other programs read. Pure."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import category, normalize

from pydantic import ConfigDict
from pydantic import Field as SchemaField

from master.domain.proxies.export.template import FIELDS, ExportField, ExportFormat, pieces
from master.domain.proxies.proxy_parts import ProxyState
from master.domain.proxies.schemas import bracketed, urls
from master.schemas.base import Resource, Row
from master.schemas.media_types import MediaType
from shared.proxies import Protocol

COLUMNS: tuple[ExportField, ...] = tuple(name for name in FIELDS if name != "ip")
"""The columns of CSV and JSON, where `host` has no brackets."""

FORMULA_SIGNS = frozenset("=+-@\N{MINUS SIGN}")
CELL_ENDS = "\t\r\n"
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Categories of Unicode: control and format characters, and blanks."""

ENCODER = json.JSONEncoder(ensure_ascii=False)

LineWriter = Callable[[Row], str]


class ExportedProxy(Resource):
    """A proxy as the JSON format lists it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "name": None,
                    "location_id": 1,
                    "node_id": 1,
                    "protocol": "mixed",
                    "host": "203.0.113.7",
                    "port": 20000,
                    "username": "k3v9x2",
                    "password": "p4ssw0rd",
                    "url": "http://k3v9x2:p4ssw0rd@203.0.113.7:20000",
                    "state": "running",
                    "labels": {},
                }
            ]
        }
    )

    id: int
    name: str | None
    location_id: int | None
    node_id: int
    protocol: Protocol
    host: str
    port: int
    username: str | None
    password: str | None = SchemaField(repr=False)
    url: str
    state: ProxyState
    labels: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportWriter:
    """A format: `head`, then lines with `between` between two of them, then `tail`."""

    media_type: MediaType
    suffix: str
    line: LineWriter
    head: str = ""
    between: str = ""
    tail: str = ""


def writer(format_: ExportFormat, template: str | None, *, raw: bool = False) -> ExportWriter:
    """Return the writer of a format. A template, already checked, takes precedence; `raw` applies to CSV."""
    if template is not None:
        return ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=template_line(template))
    if format_ == "csv" and raw:
        return replace(WRITERS["csv"], line=raw_line)
    return WRITERS[format_]


def template_line(template: str) -> LineWriter:
    """Return a function that fills in the template for one proxy."""
    parts = pieces(template)

    def line(row: Row) -> str:
        fields = values(row)
        return "".join(text + (text_of(fields[name]) if name else "") for text, name in parts) + "\n"

    return line


def values(row: Row) -> Mapping[str, Any]:
    """Return the fields that a template may name."""
    return {**row, "host": bracketed(row["host"]), "ip": row["host"], "url": urls(row)[0]}


def text_of(value: object) -> str:
    """Return the value as text; None is empty."""
    return "" if value is None else str(value)


def plain(row: Row) -> str:
    """Return host:port:username:password, or host:port without a login."""
    login = f":{row['username']}:{row['password']}" if row["username"] else ""
    return f"{bracketed(row['host'])}:{row['port']}{login}\n"


def columns(row: Row) -> list[Any]:
    """Return the values in the order of COLUMNS."""
    return [urls(row)[0] if name == "url" else row[name] for name in COLUMNS]


def csv_line(fields: Sequence[object]) -> str:
    """Return a line of CSV (RFC 4180): text quoted, numbers unquoted, values unchanged."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow(
        ["" if field is None else field for field in fields]
    )
    return text.getvalue()


def guarded(field: object) -> object:
    """Put a `'` before text that a spreadsheet would run as a formula.

    Formulas begin with = + - @ (OWASP, "CSV injection"), in some spreadsheets also in full width, or after blanks and
    invisible characters. A tab or a line break at the beginning may end a cell.
    """
    if not isinstance(field, str) or not field or (field[0].isascii() and field[0].isalnum()):
        return field
    begin = next((letter for letter in field if category(letter) not in INVISIBLE), "")
    is_formula = normalize("NFKC", begin)[:1] in FORMULA_SIGNS or field[0] in CELL_ENDS
    return f"'{field}" if is_formula else field


def raw_line(row: Row) -> str:
    """Return a line of CSV for programs."""
    return csv_line(columns(row))


def guarded_line(row: Row) -> str:
    """Return a line of CSV that is safe to open in a spreadsheet."""
    return csv_line([guarded(field) for field in columns(row)])


def json_line(row: Row) -> str:
    """Return one JSON object."""
    return ENCODER.encode({**dict(zip(COLUMNS, columns(row), strict=True)), "labels": row["labels"]})


WRITERS: Mapping[ExportFormat, ExportWriter] = {
    "plain": ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=plain),
    "url": ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=lambda row: f"{urls(row)[0]}\n"),
    "csv": ExportWriter(
        media_type=MediaType.CSV,
        suffix="csv",
        line=guarded_line,
        head=csv_line(COLUMNS),
    ),
    "json": ExportWriter(
        media_type=MediaType.JSON, suffix="json", line=json_line, head="[\n", between=",\n", tail="\n]\n"
    ),
}
