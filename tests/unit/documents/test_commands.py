"""Commands of documents are found, and judged by the statuses of their answers."""

import pytest

from tests.documents.commands import examples


@pytest.mark.parametrize(
    ("text", "statuses", "is_kept"),
    [
        ("curl a", ["200"], True),
        ("curl a", ["404"], False),
        ("curl a", [], False),
        ("curl a  # answers 412", ["412"], True),
        ("curl a  # answers 412", ["200"], False),
        ("A=b", [], True),
    ],
)
def test_an_example_is_kept_by_2xx_or_by_the_status_that_its_comment_promises(
    text: str, statuses: list[str], is_kept: bool
):
    [example] = examples(f"# t\n## s\n\n```sh\n{text}\n```\n")
    assert example.kept_by(statuses) is is_kept


def test_a_command_of_several_lines_is_one_example():
    text = '```sh\n# why\ncurl a \\\n    -d \'{"a": 1,\n  "b": 2}\'\n\ncurl c\n```\n\n```text\ncurl d\n```\n'
    assert [example.text for example in examples(text)] == ['curl a \\\n    -d \'{"a": 1,\n  "b": 2}\'', "curl c"]
