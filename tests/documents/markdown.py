"""Documents of this project, and what their Markdown contains. Pure, but for reading the files."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "README.ru.md", "CONTRIBUTING.md", "CHANGELOG.md")
DOCUMENTS = (*TOP, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
"""Every document, relative to the root."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@cache
def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(document: str, language: str = "sh") -> list[str]:
    """The contents of the fenced blocks of this language, in order."""
    return [body for name, body in _FENCE.findall(text_of(document)) if name == language]


def prose(document: str) -> str:
    """The text without fenced blocks."""
    return _FENCE.sub("", text_of(document))


def code_spans(document: str) -> list[str]:
    """What stands between backticks in the prose."""
    return _SPAN.findall(prose(document))


def words_only(document: str) -> str:
    """The text without code between backticks; the comments in fenced blocks are prose."""
    comments = "\n".join(
        line.partition("# ")[2] for block in blocks(document) for line in block.splitlines() if "# " in line
    )
    return f"{_SPAN.sub('', prose(document))}\n{comments}"


def links(document: str) -> Iterator[tuple[Path, str]]:
    """(file, anchor) of every relative link; the anchor is empty when the link has none."""
    for target in _LINK.findall(prose(document)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            here = ROOT / document
            yield (here.parent / path).resolve() if path else here, anchor


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings: lower case, without punctuation, hyphens for spaces."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
