"""The table of scopes: every route is in it, and what is not in it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.routes import HTTPRoute

from master.api.scopes import NEEDS, Need, check_access, copes_without_database, is_free, need_of
from master.asgi import create_app
from master.db.database import Database
from master.errors import Forbidden, Unauthorized
from master.schemas.access import ANYBODY, FLEET_SCOPES, NOBODY, SCOPES, Access, TokenFilter, TokenScope
from tests.master.dependencies import api_parts
from tests.openapi.conformance import described
from tests.openapi.operations import operations

ALL = [(path, method, need) for path, methods in NEEDS.items() for method, need in methods.items()]
FILTER = TokenFilter(label="customer:7")


def routes() -> set[tuple[str, str]]:
    """Each path and method that the application has."""
    found = [route for route in create_app(api_parts(Database({}))).routes if isinstance(route, HTTPRoute)]
    return {(route.path_format, str(method)) for route in found for method in route.route_handler_map}


def test_every_route_is_in_the_table_and_nothing_else_is() -> None:
    assert {one for one in routes() if one[1] != "OPTIONS"} == {(path, method) for path, method, _ in ALL}


def test_every_route_has_a_need_for_options_too() -> None:
    assert [one for one in routes() if need_of(*one) is None] == []


def test_a_route_that_is_not_in_the_table_is_refused_to_everybody() -> None:
    with pytest.raises(Forbidden):
        check_access(ANYBODY, "/forgotten", "GET")
    with pytest.raises(Forbidden):
        check_access(ANYBODY, "/proxies", "PUT")


def test_free_is_nothing_but_health_links_and_the_pages() -> None:
    free = {path for path, _, need in ALL if need.is_free}
    assert free == {
        *("/health/live", "/health/ready", "/l/{secret}"),
        *("/", "/api", "/api-json", "/ui/{made}/{name}"),
    }


@pytest.mark.parametrize(
    ("path", "free"),
    [
        *((path, True) for path in ("/", "/api", "/health/live", "/l/abc", "/ui/build/parts/a.js")),
        *((path, False) for path in ("/proxies", "/apix", "/l/", "/ui/build", "/health", "/nope", "//", "/api/")),
    ],
)
def test_a_path_is_free_exactly_if_its_route_is(path: str, free: bool) -> None:
    assert is_free(path) == free


@given(st.sets(st.sampled_from(SCOPES)), st.sampled_from(ALL))
def test_a_token_may_do_exactly_what_all_of_its_scopes_allow(
    scopes: set[TokenScope], one: tuple[str, str, Need]
) -> None:
    path, method, need = one
    access = Access(scopes=frozenset(scopes), name="t", token_id=1)
    if need.is_free or "admin" in scopes or set(need.scopes) <= scopes:
        check_access(access, path, method)
    else:
        with pytest.raises(Forbidden) as refused:
            check_access(access, path, method)
        assert set(refused.value.members["scopes"]) == set(need.scopes) - scopes


@pytest.mark.parametrize(("path", "method", "need"), ALL)
def test_a_request_without_a_token_reaches_what_is_free_alone(path: str, method: str, need: Need) -> None:
    if need.is_free:
        check_access(NOBODY, path, method)
        return
    with pytest.raises(Unauthorized):
        check_access(NOBODY, path, method)


@pytest.mark.parametrize(("path", "method", "need"), ALL)
def test_a_token_with_a_filter_is_refused_what_is_about_the_whole_system(path: str, method: str, need: Need) -> None:
    access = Access(scopes=FLEET_SCOPES, name="t", token_id=1, filter=FILTER)
    is_allowed = need.narrowed and set(need.scopes) <= FLEET_SCOPES
    if is_allowed:
        check_access(access, path, method)
        return
    with pytest.raises(Forbidden):
        check_access(access, path, method)


def test_only_writes_of_the_fleet_itself_are_for_tokens_with_a_filter() -> None:
    writes = {(path, method) for path, method, need in ALL if method != "GET" and need.narrowed and not need.is_free}
    assert {path.split("/")[1] for path, _ in writes} == {"proxies", "stacks", "links"}


def test_what_is_answered_without_the_database_is_read_alone() -> None:
    assert [path for path in NEEDS if copes_without_database(path)] == ["/metrics", "/health/report"]


def test_the_document_names_the_scopes_of_each_operation_and_which_need_no_token() -> None:
    assert described()["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for one in operations():
        need = NEEDS[one.path][one.method]
        assert one.described["security"] == ([] if need.is_free else [{"token": list(need.scopes)}, {}])
        words = one.described["description"]
        assert all(f"`{scope}`" in words for scope in need.scopes), words
