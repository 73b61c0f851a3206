"""The OpenAPI document, made of what the routes tell and of the models' own JSON schemas."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import DictSchema

from master.api.openapi import problem_schemas
from master.api.openapi.route_docs import REQUEST_HEADERS, RESPONSE_HEADERS, RouteDocs
from master.api.problems import BodyTooLarge, Unforeseen
from master.errors import (
    BadRequest,
    DatabaseAway,
    DatabaseFailed,
    ForeignOrigin,
    Invalid,
    NotFound,
    NotJson,
    Reported,
    UnknownHost,
)
from master.schemas.base import DESCRIBED_AS
from master.schemas.dry_run import DryRun, DryRunnable
from master.schemas.media_types import MediaType
from shared.proxies import MAX_BIGINT
from shared.version import program_version

REF = "#/components/schemas/{model}"

INFO = {
    "title": "maybe-proxy",
    "version": program_version(),
    "description": "Deploys proxy servers on a fleet of hosts. Lists are paged by `limit` and `after`; errors are "
    "problem documents (RFC 9457), told apart by `type`.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
SERVERS = [{"url": "/", "description": "This master."}]

TAGS: Mapping[str, str] = {
    "events": "The log of what happened, as pages or as a stream.",
    "health": "Whether this master runs and serves.",
    "links": "Secret addresses that list or rotate proxies without any other permission.",
    "locations": "Places where nodes stand.",
    "lookup": "Who had an address at a time.",
    "metrics": "Metrics for Prometheus.",
    "nodes": "Hosts that run proxies.",
    "proxies": "Proxy servers on nodes.",
    "rotations": "Rotations of proxies, make before break.",
    "stacks": "Groups of proxies made of one template and kept at a number.",
    "usage": "Bytes and connections, summed up.",
    "webhooks": "Addresses to which events are posted.",
}
TAG_OF = {"l": "links"}
"""Of first path segments that are not tags themselves."""

Json = dict[str, Any]


class Schemas(GenerateJsonSchema):
    """Makes JSON schemas without titles of members: code generators would name types by them, and two types alike."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        """The schema of the body that the JSON was given in as, where it is marked so."""
        body = schema.get("metadata", {}).get(DESCRIBED_AS)
        return self.generate_inner(body.__pydantic_core_schema__) if body else super().dict_schema(schema)


def document(routes: Iterable[BaseRoute]) -> Json:
    """The whole document, of every route that tells of itself."""
    paths: dict[str, Json] = {}
    models: set[type[BaseModel]] = {DryRun}
    kinds: set[type[Reported]] = set()
    for route, method, handler, told in sorted(documented_routes(routes), key=lambda one: (one[0].path_format, one[1])):
        paths.setdefault(route.path_format, {})[method.lower()] = operation(route, method, handler, told)
        models |= {model for model in (told.body, *told.answers.values(), *told.streams.values()) if model is not None}
        kinds |= problems(route, method, told)
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": SERVERS,
        "security": [],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas({*models, *map(problem_schemas.form, kinds)})},
    }


def documented_routes(routes: Iterable[BaseRoute]) -> Iterable[tuple[HTTPRoute, str, HTTPRouteHandler, RouteDocs]]:
    """Each route and method that tells of itself."""
    for route in routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                told = handler.opt.get("told")
                if isinstance(told, RouteDocs):
                    yield route, str(method), handler, told


def schemas(models: Iterable[type[BaseModel]]) -> Json:
    """Their JSON schemas by name; a body is described as it is taken in, everything else as it is given out."""
    wanted = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in wanted], ref_template=REF, schema_generator=Schemas
    )
    return found["$defs"]


def operation(route: HTTPRoute, method: str, handler: HTTPRouteHandler, told: RouteDocs) -> Json:
    """One route and method."""
    segment = route.path_format.split("/")[1]
    described: Json = {
        "tags": [TAG_OF.get(segment, segment)],
        "operationId": handler.fn.__name__,
        "summary": handler.summary,
        "description": (handler.fn.__doc__ or "").strip(),
        "parameters": [*path_parameters(route), *query_parameters(told), *header_parameters(told)],
        "responses": {**answers(told), **problem_schemas.responses(problems(route, method, told), REF)},
    }
    if told.body is not None:
        content = {MediaType.JSON: {"schema": ref(told.body)}}
        described["requestBody"] = {"required": told.needs_body, "content": content}
    return described


def path_parameters(route: HTTPRoute) -> list[Json]:
    """Ids, names, and the secret of a link."""
    schemas = {int: {"type": "integer", "minimum": 1, "maximum": MAX_BIGINT}, str: TEXT}
    found = [(name, schemas[one.type]) for name, one in route.path_parameters.items()]
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name, schema in found]


def query_parameters(told: RouteDocs) -> list[Json]:
    """One parameter for each field of the query's model."""
    if told.query is None:
        return []
    schema = told.query.model_json_schema(schema_generator=Schemas)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.get("description", ""),
            "schema": plain(field),
        }
        for name, field in schema["properties"].items()
    ]


def plain(field: Json) -> Json:
    """A query's field without null, which no query string can say."""
    kinds = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
    rest = {key: value for key, value in field.items() if key not in ("anyOf", "description")}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**rest, **(kinds[0] if kinds else {})}


def header_parameters(told: RouteDocs) -> list[Json]:
    """Headers that the route heeds."""
    return [{"name": name, "in": "header", "required": False, **REQUEST_HEADERS[name]} for name in told.headers]


TEXT = {"type": "string"}


def ref(model: type[BaseModel]) -> Json:
    """Points at the model's schema."""
    return {"$ref": REF.format(model=model.__name__)}


def answers(told: RouteDocs) -> Json:
    """Answers when all goes well."""
    headers = {name: {"description": RESPONSE_HEADERS[name], "schema": TEXT} for name in told.gives}
    tried = [DryRun] if told.query is not None and issubclass(told.query, DryRunnable) else []
    found: Json = {}
    for status, model in {**dict.fromkeys([200] if tried else []), **told.answers}.items():
        models = [*([model] if model is not None else []), *(tried if status == HTTPStatus.OK else [])]
        content: Json = {MediaType.JSON: {"schema": one_of(models)}} if models else {}
        content |= streams(told) if status == HTTPStatus.OK else {}
        words = told.words.get(status, HTTPStatus(status).phrase if status in told.answers else TRIED)
        found[str(status)] = {
            "description": words,
            **({"headers": headers} if headers else {}),
            **({"content": content} if content else {}),
        }
    return found


TRIED = "Tried out: what would be done"


def streams(told: RouteDocs) -> Json:
    """Content that is written piece by piece: text, or a list of items."""
    return {
        media_type.essence: {"schema": TEXT if item is None else {"type": "array", "items": ref(item)}}
        for media_type, item in told.streams.items()
    }


def one_of(models: Sequence[type[BaseModel]]) -> Json:
    """Points at the model's schema, or at each of several."""
    return ref(models[0]) if len(models) == 1 else {"oneOf": [ref(model) for model in models]}


def problems(route: HTTPRoute, method: str, told: RouteDocs) -> set[type[Reported]]:
    """Every kind of problem that the operation may be answered with."""
    found: set[type[Reported]] = {BadRequest, UnknownHost, Unforeseen, *told.problems}
    found |= {ForeignOrigin} if method != "GET" else set()
    found |= {NotJson} if method == "POST" or told.body is not None else set()
    found |= {DatabaseAway, DatabaseFailed} if told.asks_database else set()
    found |= {Invalid} if told.query is not None or not told.any_query else set()
    found |= {NotFound} if "{" in route.path_format else set()
    found |= {BodyTooLarge} if told.body is not None else set()
    return found
