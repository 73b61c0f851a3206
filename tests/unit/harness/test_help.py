"""The help of both programs."""

import re
from pathlib import Path

import pytest

from master import __main__ as master_program
from master.settings import OPTIONAL, REQUIRED, SECRETS
from node import __main__ as node_program
from node.settings import VARIABLES
from shared.settings.secret_files import file_variable

ROOT = Path(__file__).parents[3]
SYSTEM_VARIABLES = {"PATH"}
"""Read by the programs, but not settings of theirs."""


def read_by(program: str) -> set[str]:
    """Names of settings in the text that reads them."""
    text = (ROOT / program / "settings.py").read_text()
    return set(re.findall(r'(?:env(?:\.get)?[(\[]|validation_alias=)"([A-Z][A-Z_]+)"', text)) - SYSTEM_VARIABLES


def listed_in_help(program: object) -> set[str]:
    """Words of the help that look like settings."""
    return set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", help_of(program)))


def help_of(program: object) -> str:
    """What the program prints for --help."""
    return node_program.help_text() if program is node_program else program.parser().format_help()


def test_the_masters_help_names_every_setting_that_it_reads() -> None:
    files = set(map(file_variable, SECRETS))
    assert read_by("master") | files == {*REQUIRED, *OPTIONAL, *files} == listed_in_help(master_program)


def test_the_nodes_help_names_every_setting_that_it_reads() -> None:
    assert read_by("node") == set(VARIABLES) == listed_in_help(node_program)


@pytest.mark.parametrize("program", [master_program, node_program])
def test_the_help_names_every_command_and_fits_a_terminal(program: object) -> None:
    text = help_of(program)
    assert all(f"\n  {command} " in text for command in program.COMMANDS)
    assert max(map(len, text.splitlines())) <= 110
