"""The OpenAPI document uses the field's terms."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from master.api.openapi import pages
from master.asgi import create_app
from master.db.database import Database
from tests.documents.words import RETIRED, RETIRED_NAMES, retired_in
from tests.master.dependencies import api_parts

TEXTS = ("summary", "description", "title")


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(pages.document_of(create_app(api_parts(Database({})))))


def texts(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of everything that a person reads, without code between backticks."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if key in TEXTS and isinstance(part, str):
            yield f"{at}/{key}", re.sub(r"`[^`]*`", "", part)
        yield from texts(part, f"{at}/{key}")


@pytest.mark.parametrize("pattern", RETIRED)
def test_no_text_uses_a_retired_word(document: Any, pattern: str) -> None:
    found = {at: uses for at, text in texts(document) if (uses := retired_in(text, pattern))}
    assert found == {}, f"say {RETIRED[pattern]}"


@pytest.mark.parametrize("pattern", RETIRED_NAMES)
def test_no_model_has_a_retired_name(document: Any, pattern: str) -> None:
    found = [name for name in document["components"]["schemas"] if re.fullmatch(pattern, name)]
    assert found == [], f"call it {RETIRED_NAMES[pattern]}"
