"""What documents name exists: settings, files, modules, events, problems and commands."""

import re
from typing import get_args

import pytest

from master import errors
from master.__main__ import COMMANDS as MASTER_COMMANDS
from master.api.scopes import NEEDS
from master.domain.events.schemas import TYPES
from master.settings import OPTIONAL, REQUIRED, SECRETS
from node.__main__ import COMMANDS
from node.enrolment.instructions import instructions
from node.settings import SECRETS as NODE_SECRETS
from node.settings import VARIABLES
from shared.logs import LogLevel
from shared.settings.secret_files import file_variable
from tests.documents.markdown import DOCUMENTS, ROOT, blocks, code_spans, text_of

SETTING = re.compile(r"(?<![\w{$/.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w-])")
READ_BY = (
    *("master/settings.py", "master/distribution/bundles/release.py", "node/settings.py", "dev", "compose.yaml"),
    *(
        "master/distribution/install.sh",
        "docker/*.yaml",
        "docker/*.sh",
        "docker/Dockerfile",
        "tests/services/*.py",
        "tests/browser/*.py",
    ),
)
FILE = re.compile(r"(?:master|node|shared|tests|docker|docs)/[\w./-]*[\w-]|(?:pyproject\.toml|compose\.yaml|dev)")
ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]*)")
PLACE = re.compile(r"\{\w+\}|\bID\b")
PROBLEM = re.compile(r"/problems/[a-z-]+")


def rows(document: str) -> str:
    """The tables of a document."""
    return "\n".join(line for line in text_of(document).splitlines() if line.startswith("|"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_that_a_document_names_is_read_by_a_program(document: str) -> None:
    read = "".join(path.read_text() for pattern in READ_BY for path in ROOT.glob(pattern))
    named = set(SETTING.findall(text_of(document))) - set(map(file_variable, (*SECRETS, *NODE_SECRETS)))
    assert {name for name in named if not re.search(rf"\b{name}\b", read)} == set()


@pytest.mark.parametrize("folder", ["docs", "docs/ru"])
def test_every_setting_has_a_row_in_operations_or_nodes(folder: str) -> None:
    for document, names in (("operations.md", {*REQUIRED, *OPTIONAL}), ("nodes.md", set(VARIABLES))):
        assert names - set(re.findall(r"[A-Z][A-Z0-9_]+", rows(f"{folder}/{document}"))) == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_and_module_that_a_document_names_exists(document: str) -> None:
    files = [span for span in code_spans(document) if FILE.fullmatch(span)]
    modules = re.findall(r"python -m ((?:tests|master|node)[\w.]*\w)(?= |`|$)", text_of(document), re.MULTILINE)
    found = [*files, *(module.replace(".", "/") for module in modules if not module.endswith(".NAME"))]
    assert [path for path in found if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()] == []


def test_the_api_page_lists_every_event_and_no_other() -> None:
    table = text_of("docs/api.md").partition("\n## Events\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([a-z_]+\.[a-z_]+)`", "".join(cells))) == sorted(TYPES)


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one != "CHANGELOG.md"])
def test_every_problem_that_a_document_names_exists(document: str) -> None:
    known = set(PROBLEM.findall((ROOT / "master/errors.py").read_text()))
    assert errors.InsufficientCapacity.type in known
    assert set(PROBLEM.findall(text_of(document))) <= known


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one != "CHANGELOG.md"])
def test_every_route_that_a_document_names_exists(document: str) -> None:
    routes = {(method, PLACE.sub("{}", path)) for path, methods in NEEDS.items() for method in methods}
    routes.add(("POST", "/announce"))  # of the downloads, which have no other method
    named = {(method, PLACE.sub("{}", path)) for span in code_spans(document) for method, path in ROUTE.findall(span)}
    assert named - routes == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_the_master_that_a_document_names_is_one(document: str) -> None:
    spans = [*code_spans(document), *blocks(document, "text"), *blocks(document)]
    named = {word for span in spans for word in re.findall(r"\bmaybe-master ([a-z][a-z-]*)", span)}
    assert named - set(MASTER_COMMANDS) - {"maybe-node"} == set()


@pytest.mark.parametrize("document", ["docs/nodes.md", "docs/ru/nodes.md"])
def test_the_nodes_page_lists_every_command(document: str) -> None:
    assert set(COMMANDS) - {"run"} == set(re.findall(r"^\| `maybe-node ([\w-]+)", rows(document), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_dev_that_a_document_names_is_one(document: str) -> None:
    usage = (ROOT / "dev").read_text()
    named = set(re.findall(r"\./dev ([a-z]+)", text_of(document))) - {"python", "ruff", "pyright"}
    assert {name for name in named if f"./dev {name}" not in usage and f"    {name})" not in usage} == set()


@pytest.mark.parametrize(
    "document", ["docs/operations.md", "docs/nodes.md", "docs/ru/operations.md", "docs/ru/nodes.md"]
)
def test_the_row_of_the_log_level_lists_all_of_them(document: str) -> None:
    row = next(line for line in rows(document).splitlines() if line.startswith("| LOG_LEVEL |"))
    assert tuple(re.findall(r"`(\w+)`", row)) == get_args(LogLevel)


@pytest.mark.parametrize("document", ["docs/nodes.md", "docs/ru/nodes.md"])
def test_a_waiting_node_prints_what_the_nodes_page_shows(document: str) -> None:
    [shown] = [block for block in blocks(document, "text") if "waiting to be enrolled" in block]
    assert shown.strip() in instructions({"ip": "203.0.113.7", "challenge": shown.split()[-1]})
