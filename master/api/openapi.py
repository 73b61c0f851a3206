"""The OpenAPI document, made of what the routes tell and of the models' own JSON schemas."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from master.api.pages import Problem
from master.api.problems import MEDIA_TYPE
from master.api.told import REQUEST_HEADERS, RESPONSE_HEADERS, Told
from master.rehearsals import DryRun, Rehearsable
from shared.proxies import MAX_BIGINT
from shared.version import program_version

REF = "#/components/schemas/{model}"

INFO = {
    "title": "maybe-proxy",
    "version": program_version(),
    "description": "Deploys proxy servers on a fleet of hosts. Lists are paged by `limit` and `after`; errors are "
    "problem documents (RFC 9457).",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

PROBLEM_WORDS: Mapping[int, str] = {
    400: "The body is no JSON",
    403: "The node refuses the challenge",
    404: "There is no such thing",
    409: "At odds with what there is",
    412: "The version is not one of If-Match",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    422: "Something is impossible; `errors` says where",
    429: "Too soon; Retry-After says when",
    500: "Unforeseen",
    502: "Nobody answers there as a waiting node",
    503: "The database does not answer now",
    504: "The node is too slow",
}

Json = dict[str, Any]


def document(routes: Iterable[BaseRoute]) -> Json:
    """The whole of it, of every route that tells of itself."""
    paths: dict[str, Json] = {}
    models: set[type[BaseModel]] = {Problem, DryRun}
    for route, method, handler, told in sorted(telling(routes), key=lambda one: (one[0].path_format, one[1])):
        paths.setdefault(route.path_format, {})[method.lower()] = operation(route, handler, told)
        models |= {model for model in (told.body, *told.answers.values()) if model is not None}
    return {"openapi": "3.1.0", "info": INFO, "paths": paths, "components": {"schemas": schemas(models)}}


def telling(routes: Iterable[BaseRoute]) -> Iterable[tuple[HTTPRoute, str, HTTPRouteHandler, Told]]:
    """Each route and method that tells of itself."""
    for route in routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                told = handler.opt.get("told")
                if isinstance(told, Told):
                    yield route, str(method), handler, told


def schemas(models: Iterable[type[BaseModel]]) -> Json:
    """Their JSON schemas by name; a body is described as it is taken in, everything else as it is given out."""
    wanted = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "validation") for model in wanted], ref_template=REF)
    return found["$defs"]


def operation(route: HTTPRoute, handler: HTTPRouteHandler, told: Told) -> Json:
    """One route and method."""
    described: Json = {
        "tags": [route.path_format.split("/")[1]],
        "operationId": handler.fn.__name__,
        "summary": handler.summary,
        "description": (handler.fn.__doc__ or "").strip(),
        "parameters": [*path_parameters(route), *query_parameters(told), *header_parameters(told)],
        "responses": {**answers(told), **problems(route, told)},
    }
    if told.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(told.body)}}}
    return described


def path_parameters(route: HTTPRoute) -> list[Json]:
    """Ids, and the secret of a link."""
    schemas = {int: {"type": "integer", "minimum": 1, "maximum": MAX_BIGINT}, str: TEXT}
    found = [(name, schemas[one.type]) for name, one in route.path_parameters.items()]
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name, schema in found]


def query_parameters(told: Told) -> list[Json]:
    """One a field of the query's model."""
    if told.query is None:
        return []
    schema = told.query.model_json_schema()
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
    rest = {key: value for key, value in field.items() if key not in ("anyOf", "title", "description")}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**rest, **(kinds[0] if kinds else {})}


def header_parameters(told: Told) -> list[Json]:
    """Headers that the route heeds."""
    return [
        {"name": name, "in": "header", "required": False, "description": REQUEST_HEADERS[name], "schema": TEXT}
        for name in told.headers
    ]


TEXT = {"type": "string"}
LIST = {"type": "array", "items": {"type": "object"}}


def ref(model: type[BaseModel]) -> Json:
    """Points at the model's schema."""
    return {"$ref": REF.format(model=model.__name__)}


def answers(told: Told) -> Json:
    """What is answered when all goes well."""
    headers = {name: {"description": RESPONSE_HEADERS[name], "schema": TEXT} for name in told.gives}
    tried = [DryRun] if told.query is not None and issubclass(told.query, Rehearsable) else []
    found: Json = {}
    for status, model in {**dict.fromkeys([200] if tried else []), **told.answers}.items():
        models = [*([model] if model is not None else []), *(tried if status == HTTPStatus.OK else [])]
        content: Json = {"content": {"application/json": {"schema": one_of(models)}}} if models else {}
        for media_type in told.streams if status == HTTPStatus.OK else ():
            schema = TEXT if media_type.startswith("text/") else LIST
            content.setdefault("content", {})[media_type] = {"schema": schema}
        words = told.words.get(status, HTTPStatus(status).phrase if status in told.answers else TRIED)
        found[str(status)] = {"description": words, **({"headers": headers} if headers else {}), **content}
    return found


TRIED = "Tried out: what would be done"


def one_of(models: Sequence[type[BaseModel]]) -> Json:
    """Points at the model's schema, or at each of several."""
    return ref(models[0]) if len(models) == 1 else {"oneOf": [ref(model) for model in models]}


def problems(route: HTTPRoute, told: Told) -> Json:
    """What may be answered otherwise."""
    statuses = {500, 503, *told.problems}
    statuses |= {404} if "{" in route.path_format else set()
    statuses |= {400, 413, 415, 422} if told.body is not None else set()
    statuses |= {422} if told.query is not None else set()
    content = {MEDIA_TYPE: {"schema": ref(Problem)}}
    return {str(status): {"description": PROBLEM_WORDS[status], "content": content} for status in sorted(statuses)}
