"""Requests that nobody thought of, each with every kind of token."""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from master.api.scopes import check_access, is_free
from master.errors import Forbidden, Unauthorized
from master.schemas.access import NOBODY, Access
from tests.integration.fuzz.conftest import CHECKS, PASSWORD, PROFILE, TOKENS, bearer

MANY_EXAMPLES = 100
"""Of each operation, for ./dev test --long."""


def test_each_kind_of_token_gets_what_the_table_allows_and_the_document_describes(
    base_url: str, document: dict[str, Any]
):
    fuzzed_by_token(base_url, document, 1)


@pytest.mark.long
def test_many_requests_of_each_kind_of_token_get_what_the_table_allows(base_url: str, document: dict[str, Any]):
    fuzzed_by_token(base_url, document, MANY_EXAMPLES)


def fuzzed_by_token(base_url: str, document: dict[str, Any], examples: int) -> None:
    """Raises what the wrong answers are."""
    with requests.Session() as session:
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            tried_by_token(found.ok(), session, base_url, examples)


def tried_by_token(operation: Any, session: requests.Session, base_url: str, examples: int) -> None:
    """One route and method, with each kind of token, the mightiest last."""

    @settings(**PROFILE, max_examples=examples)
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), st.sampled_from([1, 2]))
    def ask(case: Any, id_: int) -> None:
        case.path_parameters = dict.fromkeys(case.path_parameters, id_)
        for kind, access in reversed(TOKENS.items()):
            answer = case.call(base_url=base_url, session=session, timeout=20, headers=bearer(kind))
            case.validate_response(answer, checks=CHECKS)
            where = f"{kind}: {operation.method} {operation.path}: {answer.status_code} {answer.text[:200]}"
            assert answer.status_code >= 400 or is_allowed(access, operation.path, operation.method), where
            assert access is not None or answer.status_code == 401 or is_free(operation.path), where
            may_see = (access is not None and access.shows_secrets) or operation.path.startswith("/l/")
            assert may_see or PASSWORD not in answer.text, where

    ask()


def is_allowed(access: Access | None, path: str, method: str) -> bool:
    """Whether the table of scopes lets a kind of token do this."""
    try:
        check_access(NOBODY if access is None else access, path, method.upper())
    except (Forbidden, Unauthorized):
        return False
    return True
