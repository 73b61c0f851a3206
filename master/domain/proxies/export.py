"""Proxies as lines of text: the forms that other programs take lists of proxies in. Pure."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import category, normalize

from pydantic import ConfigDict
from pydantic import Field as SchemaField

from master.domain.proxies.export_template import FIELDS, ExportField, ExportFormat, pieces
from master.domain.proxies.proxy_parts import ProxyState
from master.domain.proxies.urls import bracketed, urls
from master.schemas.base import Resource, Row
from master.schemas.media_types import MediaType
from shared.proxies import Protocol

COLUMNS: tuple[ExportField, ...] = tuple(name for name in FIELDS if name != "ip")
"""Of CSV and JSON, where `host` is without brackets."""

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
    """How proxies are written: `head`, lines with `between` between any two, `tail`."""

    media_type: MediaType
    suffix: str
    line: LineWriter
    head: str = ""
    between: str = ""
    tail: str = ""


def writer(format_: ExportFormat, template: str | None, *, raw: bool = False) -> ExportWriter:
    """The form that is asked for; a template, which was checked, comes before a format. `raw` is for CSV."""
    if template is not None:
        return ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=filled(template))
    if format_ == "csv" and raw:
        return replace(WRITERS["csv"], line=raw_line)
    return WRITERS[format_]


def filled(template: str) -> LineWriter:
    """Writes a line of the template's kind."""
    parts = pieces(template)

    def line(row: Row) -> str:
        fields = values(row)
        return "".join(text + (told(fields[name]) if name else "") for text, name in parts) + "\n"

    return line


def values(row: Row) -> Mapping[str, Any]:
    """A proxy's fields for templates."""
    return {**row, "host": bracketed(row["host"]), "ip": row["host"], "url": urls(row)[0]}


def told(value: object) -> str:
    """What is not there is empty."""
    return "" if value is None else str(value)


def plain(row: Row) -> str:
    """host:port:username:password, or host:port where there is no login."""
    login = f":{row['username']}:{row['password']}" if row["username"] else ""
    return f"{bracketed(row['host'])}:{row['port']}{login}\n"


def columns(row: Row) -> list[Any]:
    """In the order of COLUMNS."""
    return [urls(row)[0] if name == "url" else row[name] for name in COLUMNS]


def record(fields: Sequence[object]) -> str:
    """A line of CSV (RFC 4180): text in quotation marks, numbers without, values as they are."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow(
        ["" if field is None else field for field in fields]
    )
    return text.getvalue()


def guarded(field: object) -> object:
    """The field; with a `'` before it if it is text that a spreadsheet would run as a formula.

    Formulas begin with = + - @ (OWASP, "CSV injection"), in some spreadsheets also in full width, or after blanks and
    invisible characters. A tab or an end of line at the beginning may end a cell.
    """
    if not isinstance(field, str) or not field or (field[0].isascii() and field[0].isalnum()):
        return field
    begin = next((letter for letter in field if category(letter) not in INVISIBLE), "")
    is_formula = normalize("NFKC", begin)[:1] in FORMULA_SIGNS or field[0] in CELL_ENDS
    return f"'{field}" if is_formula else field


def raw_line(row: Row) -> str:
    """A line of CSV for programs."""
    return record(columns(row))


def guarded_line(row: Row) -> str:
    """A line of CSV that may be opened in a spreadsheet."""
    return record([guarded(field) for field in columns(row)])


def object_(row: Row) -> str:
    """One JSON object."""
    return ENCODER.encode({**dict(zip(COLUMNS, columns(row), strict=True)), "labels": row["labels"]})


WRITERS: Mapping[ExportFormat, ExportWriter] = {
    "plain": ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=plain),
    "url": ExportWriter(media_type=MediaType.TEXT, suffix="txt", line=lambda row: f"{urls(row)[0]}\n"),
    "csv": ExportWriter(
        media_type=MediaType.CSV,
        suffix="csv",
        line=guarded_line,
        head=record(COLUMNS),
    ),
    "json": ExportWriter(
        media_type=MediaType.JSON, suffix="json", line=object_, head="[\n", between=",\n", tail="\n]\n"
    ),
}
