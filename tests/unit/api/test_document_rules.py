"""Rules that the OpenAPI document keeps, so that validators and generators of strangers take it."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from master.schemas.media_types import MediaType
from tests.openapi.conformance import described
from tests.openapi.operations import operations, resolved


def nodes(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in the document, with where it stands."""
    if isinstance(value, dict):
        yield at, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from nodes(part, f"{at}/{key}")


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a parameter, a body, an answer or a member."""
    is_schema = re.compile(r".*/(schema|items|additionalProperties|(properties|schemas|anyOf|oneOf)/[^/]+)")
    return ((at, node) for at, node in nodes(described()) if is_schema.fullmatch(at))


def complaints(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": described()["components"]}
    return [one.message for one in jsonschema_rs.validator_for(whole, validate_formats=True).iter_errors(value)]


def test_the_document_is_valid():
    assert [error.message for error in OpenAPIV31SpecValidator(described()).iter_errors()] == []


def test_every_example_and_default_is_of_its_own_schema():
    wrong = [
        (at, value, found)
        for at, schema in schemas()
        for value in [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
        if (found := complaints(schema, value))
    ]
    assert wrong == []


def test_every_tag_of_an_operation_is_described_and_every_described_one_is_used():
    described_tags = {tag["name"] for tag in described()["tags"]}
    assert {tag for one in operations() for tag in one.described["tags"]} == described_tags
    assert all(tag["description"] for tag in described()["tags"])


def test_no_operation_lacks_an_id_a_generator_can_name_a_function_by():
    ids = [one.id for one in operations()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", id_) for id_ in ids)


def test_no_inline_object_is_named_by_generators_as_a_schema_is():
    known = described()["components"]["schemas"]
    inline = [
        f"{name}{member.title().replace('_', '')}"
        for name, schema in known.items()
        for member, part in schema.get("properties", {}).items()
        if part.get("type") == "object" or "enum" in part
    ]
    assert set(inline) & set(known) == set()
    assert len(inline) == len(set(inline))


def test_no_member_has_a_title_that_a_generator_would_name_a_type_by():
    titled = [at for at, schema in schemas() if "title" in schema and not re.fullmatch("/components/schemas/[^/]+", at)]
    assert titled == []


def test_null_is_a_type_and_never_a_flag_or_a_default_of_what_cannot_be_null():
    assert [at for at, schema in schemas() if "nullable" in schema] == []
    kinds = [(at, schema) for at, schema in schemas() if schema.get("default", 0) is None]
    assert all({"type": "null"} in schema.get("anyOf", []) for _, schema in kinds), kinds


def test_every_request_body_refuses_what_it_does_not_know():
    bodies = [one.body for one in operations() if one.body is not None]
    assert all(body["additionalProperties"] is False for body in bodies)


def test_every_parameter_has_a_place_a_schema_and_a_name_of_its_own():
    for one in operations():
        names = [(parameter["in"], parameter["name"]) for parameter in one.parameters]
        assert len(names) == len(set(names)), one
        in_path = {name for place, name in names if place == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", one.path)), one
        assert all(parameter["required"] for parameter in one.parameters if parameter["in"] == "path")
        assert all(resolved(parameter["schema"]).keys() & {"type", "enum", "const"} for parameter in one.parameters)


def test_an_answer_without_a_body_has_no_content_and_every_other_says_what_it_is():
    for one in operations():
        for status, answer in one.described["responses"].items():
            assert answer["description"]
            contents = answer.get("content", {})
            assert all("schema" in content for content in contents.values())
            assert contents or int(status) in (202, 204), (one, status)


def test_no_media_type_names_its_charset():
    assert [kind for kind in MediaType if "charset" in kind] == []


@pytest.mark.parametrize("schema", ["Proxy", "NewProxy", "Stack", "InsufficientCapacityProblem", "EventPage"])
def test_the_main_schemas_are_described(schema: str):
    assert described()["components"]["schemas"][schema]["description"]
