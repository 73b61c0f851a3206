"""The runbook has an entry for each alert, each finding of a doctor and each event of trouble."""

import ast
import re
from collections.abc import Iterator

import pytest

from master.domain.events.schemas import TYPES
from tests.documents.markdown import ROOT, text_of
from tests.monitoring import rules

DOCUMENTS = ["docs/operations/runbook.md", "docs/ru/operations/runbook.md"]
DOCTORS = ("master/doctor/*.py", "node/doctor/*.py", "master/exposure.py")
TROUBLE = re.compile(
    r"abort|cloned|database|drift|expir|failed|flooded|grace_over|halted|held|limited|login_restored|offline|parked|"
    r"paused|refused|threshold|troubled"
)
MAKERS = ("problem", "warning", "level")
NAMED = {"DEAD_QUEUE": "mp.dead", "MASTER_QUEUE": "mp.master"}


def seen_by(document: str) -> str:
    """The paragraphs that list how an entry is seen."""
    paragraphs = re.findall(r"^(?:Seen by|Видно по): .+?\n\n", text_of(document), re.MULTILINE | re.DOTALL)
    return " ".join(" ".join(paragraphs).split())


def findings() -> Iterator[str]:
    """The name of each check that can end as a warning or a problem; `{...}` stands for one of several words."""
    for pattern in DOCTORS:
        for path in ROOT.glob(pattern):
            tree = ast.parse(path.read_text())
            constants = dict(assigned(tree)) | NAMED
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MAKERS:
                    yield text_of_name(call.args[0], constants)


def assigned(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from ((target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name))


def text_of_name(node: ast.expr, constants: dict[str, str]) -> str:
    """The name, with `{}` for what the program fills in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr():
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        case ast.Name(id=name):
            return constants.get(name, "{}")
        case _:
            raise AssertionError(ast.dump(node))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_alert_is_seen_by_some_entry_and_no_other_is_named(document: str) -> None:
    assert set(re.findall(r"Maybe\w+", seen_by(document))) == {one.name for one in rules.alerts()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_finding_of_the_doctors_has_an_entry(document: str) -> None:
    named = " ".join(re.findall(r"`[^`]+`", seen_by(document)))
    patterns = {name: re.escape(name).replace(r"\{\}", r"[\w ]+") for name in findings()}
    assert len(patterns) > 30
    assert {name for name, pattern in patterns.items() if not re.search(f"`{pattern}`", named)} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_event_of_trouble_has_an_entry_and_every_event_that_is_named_exists(document: str) -> None:
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", seen_by(document))) - {"mp.master", "mp.dead"}
    assert {type_ for type_ in TYPES if TROUBLE.search(type_)} - named == set()
    assert named <= set(TYPES)
