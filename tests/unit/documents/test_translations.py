"""The Russian documents say the same as the English ones, as far as a program can compare them."""

import re

import pytest

from tests.documents.markdown import ROOT, blocks, text_of

OPERATIONS = sorted(path.name for path in (ROOT / "docs/operations").glob("*.md"))
PAIRS = [
    ("README.md", "README.ru.md"),
    *(
        (f"docs/{name}.md", f"docs/ru/{name}.md")
        for name in ("quickstart", "operations", "nodes", "containers", "rabbitmq-cluster", "tokens")
    ),
    *((f"docs/operations/{name}", f"docs/ru/operations/{name}") for name in OPERATIONS),
]


def commands(document: str) -> list[str]:
    """The lines of its `sh` blocks without comments."""
    lines = [re.sub(r"(^|\s+)# .*$", "", line) for block in blocks(document) for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize(("english", "russian"), PAIRS)
def test_both_print_the_same_commands(english: str, russian: str) -> None:
    assert commands(russian) == commands(english)


@pytest.mark.parametrize(("english", "russian"), PAIRS)
def test_both_have_the_same_sections_and_rows(english: str, russian: str) -> None:
    def shape(document: str) -> tuple[int, int]:
        lines = text_of(document).splitlines()
        return sum(line.startswith("#") for line in lines), sum(line.startswith("|") for line in lines)

    assert shape(russian) == shape(english)


def test_the_readme_prints_no_command_that_the_quickstart_does_not_run() -> None:
    run = "\n".join(commands("docs/quickstart.md"))
    words = [re.sub(r"\s+", " ", line) for line in commands("README.md")]
    assert [line for line in words if line != "./dev test" and line not in run] == []
