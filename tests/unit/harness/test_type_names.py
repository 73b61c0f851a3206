"""One name of a type means one thing in the whole product."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]

DELIBERATE = {
    "Access": "what a token may do in the API, and who may use a proxy in a worker of the built-in engine",
    "Check": "a check of a proxy in the API, and one of the checks of a doctor",
    "Lookup": "who had an address, in the API, and the lookup of a name in a worker's resolver",
    "Master": "the API's resource, and the running program of which it is the record",
    "MessageBody": "a body of HTTP passing through a proxy, and a body of the bus",
    "Node": "the API's resource, and the running program of which it is the record",
    "Plan": "what has to be done, of a stack in the master and of proxies on a node",
    "Proxy": "the API's resource, and a proxy as a worker of the built-in engine runs it",
    "Session": "a session of the database in the master, and of an identity on the bus in the node",
    "Settings": "each program has its own",
    "TokenBucket": "the same rule; a worker of the built-in engine needs the standard library alone",
}
"""Names with two meanings that never meet in one module, each with the reason."""


def definitions(path: Path) -> Iterator[tuple[str, str]]:
    """(name, meaning) of the classes and type aliases of a module; aliases of the same expression mean the same."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, str(path.relative_to(ROOT))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():
                yield name, ast.unparse(node.value)


def test_no_type_name_has_two_meanings() -> None:
    meanings = defaultdict[str, set[str]](set)
    for package in ("master", "node", "shared"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name, meaning in definitions(path):
                meanings[name].add(meaning)
    assert len(meanings) > 300
    assert {name: found for name, found in meanings.items() if len(found) > 1 and name not in DELIBERATE} == {}
