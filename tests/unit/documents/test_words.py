"""Documents use the field's terms."""

import pytest

from tests.documents.markdown import DOCUMENTS, prose, text_of, words_only
from tests.documents.words import RETIRED, retired_in


@pytest.mark.parametrize("pattern", RETIRED)
def test_no_document_uses_a_retired_word(pattern: str) -> None:
    found = {document: uses for document in DOCUMENTS if (uses := retired_in(words_only(document), pattern))}
    assert found == {}, f"say {RETIRED[pattern]}"


def test_the_readme_is_one_screen_to_the_first_proxy_in_at_most_1200_words() -> None:
    assert all(len(text_of(document).split()) <= 1200 for document in ("README.md", "README.ru.md"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_lines_have_at_most_120_characters_but_for_tables_and_code(document: str) -> None:
    assert [line for line in prose(document).splitlines() if len(line) > 120 and not line.startswith("|")] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("as told by", True), ("As Told", True), ("untold", False), ("of course", False), ("login_made_anew", False)],
)
def test_a_retired_word_is_found_as_a_whole_word_in_any_case(text: str, found: bool) -> None:
    assert any(retired_in(text, pattern) for pattern in RETIRED) is found
