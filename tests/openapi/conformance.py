"""Holds answers of the API against its own OpenAPI document: statuses, content types, problem types and bodies."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from master.api.openapi.document import document
from master.asgi import create_app
from master.db.database import Database
from master.distribution.downloads.app import is_download
from tests.master.dependencies import api_parts

METHODS = ("get", "post", "put", "patch", "delete")
STREAM = "text/event-stream"


@cache
def described() -> dict[str, Any]:
    """The document of a master."""
    return document(create_app(api_parts(Database({}))).routes)


@cache
def templates() -> list[tuple[re.Pattern[str], str]]:
    """Each path as a pattern, with the most literal ones first."""
    paths = sorted(described()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def template_of(path: str) -> str | None:
    """The path of the document that this one is an instance of."""
    return next((template for pattern, template in templates() if pattern.fullmatch(path)), None)


@cache
def validator(template: str, method: str, status: str, essence: str) -> Any:
    """Checks bodies of these answers."""
    content = described()["paths"][template][method]["responses"][status]["content"]
    return jsonschema_rs.validator_for(
        {**content[essence]["schema"], "components": described()["components"]}, validate_formats=True
    )


@cache
def problem_types() -> frozenset[str]:
    """Every documented type of problem."""
    schemas: Mapping[str, Any] = described()["components"]["schemas"]
    return frozenset(
        schema["properties"]["type"]["const"] for name, schema in schemas.items() if name.endswith("Problem")
    )


async def hold(answer: httpx.Response) -> None:
    """An event hook of httpx. Raises AssertionError when the answer is not as documented."""
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(STREAM):
        await answer.aread()
    if answer.request.method != "HEAD":
        content = b"" if kind.startswith(STREAM) else answer.content
        compare(answer.request.method, spelling(answer.request.url), answer.status_code, kind, content)


def spelling(url: httpx.URL) -> str:
    """The path as it was sent: another spelling of a route's path is not that route."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def compare(method: str, path: str, status: int, kind: str, content: bytes) -> None:
    """Raises AssertionError when such an answer is not documented."""
    where = f"{method} {path}: {status} {kind!r} {content[:300]!r}"
    check_content_type(kind, where)
    essence = kind.partition(";")[0]
    template = template_of(path)
    operation = described()["paths"].get(template, {}).get(method.lower())
    if operation is None:
        # Downloads are for curl and people, not for programs of the API.
        assert status < 400 or essence == "application/problem+json" or is_download(path), where
        return
    assert str(status) in operation["responses"], f"undocumented status: {where}"
    media_types = operation["responses"][str(status)].get("content", {})
    if not media_types:
        assert (kind, content) == ("", b""), f"undocumented body: {where}"
        return
    assert essence in media_types, f"undocumented media type: {where}"
    if essence.endswith("json"):
        found = validator(template, method.lower(), str(status), essence)
        problems = [one.message for one in found.iter_errors(json.loads(content))]
        assert not problems, f"{where}: {problems[:3]}"


def check_content_type(kind: str, where: str) -> None:
    """Text says once that it is UTF-8; nothing else says a charset."""
    charsets = re.findall(r"charset=([^;\s]*)", kind, re.I)
    assert charsets == (["utf-8"] if kind.startswith("text/") else []), where
