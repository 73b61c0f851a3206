"""The help of both programs."""

import re
from pathlib import Path

import pytest

from master import __main__ as master_program
from master.settings import OPTIONAL, REQUIRED
from node import __main__ as node_program
from node.settings import VARIABLES

ROOT = Path(__file__).parents[3]
SYSTEM_VARIABLES = {"PATH"}
"""Read by the programs, but not settings of theirs."""


def read_by(program: str) -> set[str]:
    """Names of settings in the text that reads them, the lists for the help left out."""
    text = re.sub(r"^[A-Z]+ = \(\n.*?^\)", "", (ROOT / program / "settings.py").read_text(), flags=re.S | re.M)
    return set(re.findall(r'(?:env(?:\.get)?[(\[]|env, )"([A-Z][A-Z_]+)"', text)) - SYSTEM_VARIABLES


def test_the_masters_help_names_every_setting_that_it_reads() -> None:
    assert read_by("master") == {*REQUIRED, *OPTIONAL}


def test_the_nodes_help_names_every_setting_that_it_reads() -> None:
    assert read_by("node") == set(VARIABLES)


@pytest.mark.parametrize("program", [master_program, node_program])
def test_the_help_names_every_command_and_fits_a_terminal(program: object) -> None:
    text = program.parser().format_help()
    assert all(f"\n  {command} " in text for command in program.COMMANDS)
    assert max(map(len, text.splitlines())) <= 110
