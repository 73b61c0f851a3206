"""Requests made of the OpenAPI document alone: with what it requires, its examples, and its defaults spelled out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.openapi.conformance import METHODS, described

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One path and method of the document."""

    method: str
    path: str
    described: Json = field(repr=False)

    @property
    def id(self) -> str:
        return self.described["operationId"]

    @property
    def parameters(self) -> list[Json]:
        return self.described["parameters"]

    @property
    def body(self) -> Json | None:
        """The schema of its body."""
        content = self.described.get("requestBody", {}).get("content", {})
        return resolved(content["application/json"]["schema"]) if content else None


@dataclass(frozen=True)
class Request:
    """What is sent; `says` tells why, in a failure."""

    says: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any = None


def operations() -> list[Operation]:
    """All of the document."""
    return [
        Operation(method.upper(), path, methods[method])
        for path, methods in described()["paths"].items()
        for method in METHODS
        if method in methods
    ]


def resolved(schema: Json) -> Json:
    """Where a reference leads."""
    reference = schema.get("$ref")
    return described()["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def requests(operation: Operation, known: Mapping[str, Any]) -> Iterator[Request]:
    """The plainest request, then those with defaults and examples; `known` are values that only the caller knows."""
    path = operation.path.format_map(known)
    needed = {one["name"]: known[one["name"]] for one in of(operation, "query") if one["required"]}
    bodies = (operation.body or {}).get("examples", [{}]) if operation.body is not None else [None]
    plain = Request("as little as may be", path, {**known.get("filter", {}), **needed}, {}, bodies[0])
    yield plain
    defaults = {one["name"]: spelt(one["schema"]["default"]) for one in of(operation, "query") if has_default(one)}
    yield replace(plain, says=f"all defaults {defaults}", query={**defaults, **plain.query})
    for name, value in defaults.items():
        yield replace(plain, says=f"default of {name}", query={name: value, **plain.query})
    for one in of(operation, "query"):
        for example in examples(one["schema"]):
            yield replace(plain, says=f"example {one['name']}={example}", query={**plain.query, one["name"]: example})
    for one in of(operation, "header"):
        for example in examples(one["schema"]):
            # No node of these tests confirms anything, so the whole time would be waited for.
            value = re.sub(r"\bwait=\d+", "wait=1", example)
            yield replace(plain, says=f"example {one['name']}: {example}", headers={one["name"]: value})
    for body in bodies if operation.body is not None else []:
        yield replace(plain, says=f"example {body}", body=body)
        if (filled := with_defaults(operation.body or {}, body)) != body:
            yield replace(plain, says=f"defaults added to {body}", body=filled)


def of(operation: Operation, place: str) -> list[Json]:
    """Its parameters in the query or in the headers."""
    return [one for one in operation.parameters if one["in"] == place]


def has_default(parameter: Json) -> bool:
    return "default" in parameter["schema"]


def examples(schema: Json) -> list[Any]:
    """Of a parameter, also of a list's items."""
    items = schema.get("items", {}).get("examples", [])
    return [*schema.get("examples", []), *([example] for example in items)]


def spelt(value: Any) -> Any:
    """As a client writes it into a query string."""
    return str(value).lower() if isinstance(value, bool) else value


def with_defaults(schema: Json, body: Any) -> Any:
    """The body with every default that it leaves out, also in the objects within it."""
    members: Json = schema.get("properties", {})
    filled = {name: one["default"] for name, one in members.items() if "default" in one} | body
    return {
        name: with_defaults(resolved(members[name]), value) if isinstance(value, dict) and name in members else value
        for name, value in filled.items()
    }
