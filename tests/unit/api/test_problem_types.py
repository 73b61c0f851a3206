"""Every class of error has a problem type of its own, and the document names it where it may come."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

import master
from master.api.problems import MethodNotAllowed
from master.errors import (
    DatabaseFailed,
    InsufficientCapacity,
    NotRotatable,
    Reported,
    RequestRefused,
    RotationUnderWay,
    Unauthorized,
)
from tests.openapi.conformance import described
from tests.openapi.operations import operations, resolved


def all_of(kind: type[Reported]) -> Iterator[type[Reported]]:
    for one in kind.__subclasses__():
        yield one
        yield from all_of(one)


def reported() -> list[type[Reported]]:
    """Every class in any module of the master that is not only a branch of the tree."""
    for module in pkgutil.walk_packages(master.__path__, "master."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [kind for kind in dict.fromkeys(all_of(Reported)) if kind is not RequestRefused]


KINDS = reported()


def documented() -> dict[str, set[str]]:
    """The operations by the types of problems that they may be answered with."""
    found: dict[str, set[str]] = {}
    for one in operations():
        for status, answer in one.described["responses"].items():
            if int(status) >= HTTPStatus.BAD_REQUEST:
                schema = answer["content"]["application/problem+json"]["schema"]
                for each in schema.get("oneOf", [schema]):
                    found.setdefault(resolved(each)["properties"]["type"]["const"], set()).add(one.id)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_has_its_own_type_and_title_and_a_description(kind: type[Reported]):
    assert {"type", "title"} <= set(vars(kind)), "inherited from another error"
    assert re.fullmatch("/problems/[a-z]+(-[a-z]+)*", kind.type)
    assert kind.title[0].isupper()
    assert HTTPStatus(kind.status) >= HTTPStatus.BAD_REQUEST
    assert kind.__doc__


def test_no_two_errors_share_a_type_or_a_title():
    assert len({kind.type for kind in KINDS}) == len({kind.title for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind is not MethodNotAllowed], ids=lambda kind: kind.__name__
)
def test_an_error_is_documented_with_its_members(kind: type[Reported]):
    """But for methods that are not there: they have no operation."""
    schema = described()["components"]["schemas"][f"{kind.__name__}Problem"]
    constants = {name: schema["properties"][name]["const"] for name in ("type", "title", "status")}
    assert constants == {"type": kind.type, "title": kind.title, "status": kind.status}
    members = {**getattr(kind.Members, "__annotations__", {})}
    assert set(schema["properties"]) == {*constants, "detail", *members}
    assert documented()[kind.type]


def test_operations_name_the_errors_of_what_they_do():
    found = documented()
    rotating = {"rotate_proxy", "rotate_proxies", "rotate_stack", "use_link"}
    placing = {"create_proxy", "create_stack", "change_stack", "put_stack", "rotate_proxy", "remove_node"}
    changing = {"change_proxy", "change_proxies", "change_stack", "put_stack"}
    assert found[NotRotatable.type] == rotating
    assert found[InsufficientCapacity.type] == placing
    assert rotating | changing <= found[RotationUnderWay.type]
    assert found[DatabaseFailed.type] == {one.id for one in operations()} - {"live"}
    assert found[Unauthorized.type] == {one.id for one in operations()} - {"live", "ready", "use_link"}
