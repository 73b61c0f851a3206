"""The OpenAPI document, made of the handlers' signatures and the models' own JSON schemas.

Litestar 2.25 can make such a document, but not the right one for this API. It describes `Labels` as an array, drops
the bounds of `X | None`, does not mark bodies as closed (`additionalProperties: false`), gives all statuses of a
handler the same headers and one media type, lists its own shape of errors instead of problem documents, and adds routes
of its own.

So the document is made here. Body, query, headers and answers follow from each handler's signature;
`documented(...)` adds what a signature cannot express: what a status means, which problems may come, and bodies that
are streamed. Responses stand with the usual one first; browsers sort them by status all the same.

Longer than most modules because the parts of an operation are one document and have no other user.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import DictSchema

from master.api.openapi import problem_schemas, security
from master.api.openapi.examples import example_of
from master.api.openapi.groups import GROUPS, group_of
from master.api.openapi.route_docs import REQUEST_HEADERS, RESPONSE_HEADERS, RouteDocs, docs_of
from master.api.problems import BodyTooLarge, Unforeseen
from master.api.requests.query_parameters import list_schema
from master.api.requests.signatures import IDEMPOTENCY_KEY, IF_MATCH, PREFER, Inputs, inputs_of, returned_types
from master.errors import (
    BadRequest,
    DatabaseAway,
    DatabaseFailed,
    ForeignOrigin,
    Invalid,
    NotFound,
    NotJson,
    PreconditionFailed,
    Reported,
    UnknownHost,
)
from master.schemas.base import DESCRIBED_AS, Resource
from master.schemas.dry_run import DryRun, DryRunnable
from master.schemas.filters import NOT
from master.schemas.media_types import MediaType
from shared.proxies import MAX_BIGINT
from shared.version import program_version

REF = "#/components/schemas/{model}"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
INFO = {
    "title": "maybe-proxy",
    "version": program_version(),
    "description": "Deploys proxy servers on a fleet of hosts. Lists are paged by `limit` and `after`. Errors are "
    "problem documents (RFC 9457); programs tell them apart by `type`.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
SERVERS = [{"url": "/", "description": "This master."}]
TEXT = {"type": "string"}
DRY_RUN_DONE = "Dry run (`dry_run=true`): what the request would do. Nothing is changed."

Json = dict[str, Any]


class Operation:
    """One route and method, with what its handler's signature and docs express."""

    def __init__(self, route: HTTPRoute, method: str, handler: HTTPRouteHandler, docs: RouteDocs) -> None:
        self.route, self.method, self.handler, self.docs = route, method, handler, docs
        self.inputs: Inputs = inputs_of(handler.fn)
        self.group = group_of(handler)
        resources = [one for one in returned_types(handler.fn) if issubclass(one, Resource)]
        self.model: type[Resource] | None = resources[0] if resources else None

    @property
    def order(self) -> tuple[int, str, int]:
        """Where it stands: by group in the order of work, then by path and method."""
        return list(GROUPS).index(self.group), self.route.path_format, METHODS.index(self.method)

    @property
    def key(self) -> tuple[str, str]:
        """Its path and method."""
        return self.route.path_format, self.method

    @property
    def is_dry_runnable(self) -> bool:
        """Whether it can be tried out."""
        return self.inputs.query is not None and issubclass(self.inputs.query, DryRunnable)

    @property
    def answers(self) -> Mapping[int, tuple[str, type[BaseModel] | None]]:
        """The description and the body of each status below 400, the usual one first."""
        status = self.handler.status_code
        words = self.docs.answers or {status: HTTPStatus(status).phrase}
        found = {
            status: (text, None if status in (204, *self.docs.bodiless) else self.docs.bodies.get(status, self.model))
            for status, text in words.items()
        }
        return found if HTTPStatus.OK in found or not self.is_dry_runnable else {**found, 200: (DRY_RUN_DONE, None)}

    @property
    def headers(self) -> list[str]:
        """The names of the headers of its answers below 400."""
        given = {
            "ETag": self.model is not None and "version" in self.model.model_fields,
            "Location": HTTPStatus.CREATED in self.answers,
            "Preference-Applied": PREFER in self.inputs.headers,
            "Idempotency-Replayed": IDEMPOTENCY_KEY in self.inputs.headers,
        }
        return [name for name, is_given in given.items() if is_given or name in self.docs.gives]

    @property
    def models(self) -> set[type[BaseModel]]:
        """Every model that it takes or gives."""
        answers = [model for _, model in self.answers.values()]
        return {model for model in (self.inputs.body, *answers, *self.docs.streams.values()) if model is not None}

    @property
    def problems(self) -> set[type[Reported]]:
        """Return every kind of problem that the route may answer with, by its signature and its own documentation."""
        inputs, docs = self.inputs, self.docs
        found: set[type[Reported]] = {BadRequest, UnknownHost, Unforeseen, *docs.problems}
        found |= {ForeignOrigin} if self.method != "GET" else set()
        found |= {NotJson} if self.method == "POST" or inputs.body is not None else set()
        found |= {DatabaseAway, DatabaseFailed} if inputs.asks_database and not docs.copes_without_database else set()
        found |= {Invalid} if inputs.query is not None or not docs.ignores_parameters else set()
        found |= {PreconditionFailed} if IF_MATCH in inputs.headers else set()
        found |= {NotFound} if "{" in self.route.path_format else set()
        found |= {BodyTooLarge} if inputs.body is not None else set()
        return found | security.problems(*self.key)


class Schemas(GenerateJsonSchema):
    """Makes JSON schemas without titles of members: code generators would name types by them, and two types alike."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        """Describe JSON that was stored as it came by the body's model, where it is marked so."""
        body = schema.get("metadata", {}).get(DESCRIBED_AS)
        return self.generate_inner(body.__pydantic_core_schema__) if body else super().dict_schema(schema)


def document(routes: Iterable[BaseRoute]) -> Json:
    """Make the document of all routes that are documented."""
    operations = sorted(documented_operations(routes), key=lambda one: one.order)
    paths: dict[str, Json] = {}
    for one in operations:
        paths.setdefault(one.route.path_format, {})[one.method.lower()] = described(one)
    models = {DryRun}.union(*(one.models for one in operations))
    kinds = set[type[Reported]]().union(*(one.problems for one in operations))
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": SERVERS,
        "security": [{security.SCHEME: []}, {}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas({*models, *map(problem_schemas.form, kinds)}),
            "securitySchemes": security.SCHEMES,
        },
    }


def documented_operations(routes: Iterable[BaseRoute]) -> Iterable[Operation]:
    """Find each route and method that is documented."""
    for route in routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if (docs := docs_of(handler)) is not None:
                    yield Operation(route, str(method), handler, docs)


def schemas(models: Iterable[type[BaseModel]]) -> Json:
    """Make the models' JSON schemas by name; a body is described as it is taken, everything else as it is given."""
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=REF, schema_generator=Schemas
    )
    return found["$defs"]


def described(one: Operation) -> Json:
    """Describe one operation."""
    fn, inputs = one.handler.fn, one.inputs
    found: Json = {
        "tags": [one.group],
        "operationId": fn.__name__,
        "summary": one.handler.summary,
        "description": "\n\n".join(filter(None, (inspect.getdoc(fn), security.scope_words(*one.key)))),
        "security": security.security(*one.key),
        "parameters": [*path_parameters(one.route), *query_parameters(inputs.query), *header_parameters(inputs)],
        "responses": {**responses(one), **problem_schemas.responses(one.problems, REF)},
    }
    if inputs.body is not None:
        content = {MediaType.JSON: with_example({"schema": ref(inputs.body)}, inputs.body)}
        found["requestBody"] = {"required": inputs.needs_body, "content": content}
    return found


def path_parameters(route: HTTPRoute) -> list[Json]:
    """Describe ids, names, and the secret of a link."""
    schemas = {int: {"type": "integer", "minimum": 1, "maximum": MAX_BIGINT}, str: TEXT}
    found = [(name, schemas[one.type]) for name, one in route.path_parameters.items()]
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name, schema in found]


def query_parameters(query: type[BaseModel] | None) -> list[Json]:
    """Describe one parameter for each field of the query's model."""
    if query is None:
        return []
    schema = query.model_json_schema(schema_generator=Schemas)
    required = schema.get("required", [])
    ordered = sorted(schema["properties"].items(), key=lambda one: one[0].startswith(NOT))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.get("description", ""),
            **({"style": "form", "explode": True} if list_schema(field) is not None else {}),
            "schema": plain(field),
        }
        for name, field in ordered
    ]


def plain(field: Json) -> Json:
    """The schema of a query's field without null, which no query string can express, and as a list if it may be one."""
    kinds = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
    rest = {key: value for key, value in field.items() if key not in ("anyOf", "description")}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**rest, **(list_schema(field) or (kinds[0] if kinds else {}))}


def header_parameters(inputs: Inputs) -> list[Json]:
    """Describe the request headers that the handler heeds."""
    return [{"name": name, "in": "header", "required": False, **REQUEST_HEADERS[name]} for name in inputs.headers]


def ref(model: type[BaseModel]) -> Json:
    """Point at the model's schema."""
    return {"$ref": REF.format(model=model.__name__)}


def responses(one: Operation) -> Json:
    """Describe the answers below 400."""
    headers = {name: {"description": RESPONSE_HEADERS[name], "schema": TEXT} for name in one.headers}
    found: Json = {}
    for status, (text, model) in one.answers.items():
        models = [*([model] if model is not None else [])]
        models += [DryRun] if one.is_dry_runnable and status == HTTPStatus.OK else []
        content: Json = {MediaType.JSON: with_example({"schema": one_of(models)}, models[0])} if models else {}
        content |= streams(one.docs) if status == HTTPStatus.OK else {}
        found[str(status)] = {
            "description": text,
            **({"headers": headers} if headers else {}),
            **({"content": content} if content else {}),
        }
    return found


def with_example(content: Json, model: type[BaseModel]) -> Json:
    """Add the model's example, if it has one."""
    example = example_of(model)
    return content if example is None else {**content, "example": example}


def streams(docs: RouteDocs) -> Json:
    """Describe content that is written piece by piece: text, or a list of items."""
    return {
        media_type.essence: {"schema": TEXT}
        if item is None
        else {"schema": {"type": "array", "items": ref(item)}, "example": [example_of(item)]}
        for media_type, item in docs.streams.items()
    }


def one_of(models: Sequence[type[BaseModel]]) -> Json:
    """Point at the model's schema, or at each of several."""
    return ref(models[0]) if len(models) == 1 else {"oneOf": [ref(model) for model in models]}
