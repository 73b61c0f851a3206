"""The OpenAPI document."""

import json
import re
from typing import Any

import pytest

from master.api.openapi import pages
from master.api.openapi.route_docs import docs_of
from master.api.requests.signatures import inputs_of
from master.asgi import create_app
from master.db.database import Database
from tests.master.dependencies import api_parts


@pytest.fixture(scope="module")
def app() -> Any:
    return create_app(api_parts(Database({})))


@pytest.fixture(scope="module")
def document(app: Any) -> Any:
    return json.loads(pages.document_of(app))


def operations(document: Any) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_route_but_the_documentation_is_described(app: Any, document: Any):
    silent = {"/", "/api", "/api-json", "/ui/{made}/{name}"}
    assert {route.path_format for route in app.routes} - set(document["paths"]) == silent


def test_every_reference_leads_somewhere(document: Any):
    wanted = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert wanted <= set(document["components"]["schemas"])


def test_every_operation_has_a_summary_and_a_description(document: Any):
    assert all(operation["summary"] and operation["description"] for operation in operations(document))


def test_every_operation_has_an_id_of_its_own(document: Any):
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_error_is_described_as_a_problem_document(document: Any):
    for operation in operations(document):
        errors = [answer for status, answer in operation["responses"].items() if int(status) >= 400]
        assert errors
        assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors)


def test_every_parameter_of_a_path_is_described(document: Any):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert told == set(re.findall(r"{(\w+)}", path))


def test_the_version_of_a_proxy_is_told_as_its_etag(document: Any):
    answer = document["paths"]["/proxies/{proxy_id}"]["get"]["responses"]["200"]
    assert "ETag" in answer["headers"]


def test_every_example_of_a_body_is_one(app: Any):
    handlers = [handler for route in app.routes for handler, _ in route.route_handler_map.values()]
    bodies = {body for one in handlers if docs_of(one) and (body := inputs_of(one.fn).body) is not None}
    assert len(bodies) > 10
    for body in bodies:
        for example in body.model_config.get("json_schema_extra", {}).get("examples", []):
            body.model_validate(example)
