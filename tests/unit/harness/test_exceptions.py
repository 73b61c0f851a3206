"""Exceptions can be raised through any context manager."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]


def frozen_classes() -> Iterator[tuple[str, list[str]]]:
    """Yield (name, bases) of the frozen dataclasses of the product."""
    for package in ("master", "node", "shared"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and any("frozen=True" in ast.unparse(d) for d in node.decorator_list):
                    yield node.name, [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def test_no_exception_is_frozen_since_python_writes_its_traceback_into_it():
    assert len(list(frozen_classes())) > 50
    assert [
        name for name, bases in frozen_classes() if any(base.endswith(("Error", "Exception")) for base in bases)
    ] == []
