"""Reads a unit of the node, and what it restricts."""

import shutil
import socket
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.install.confine import SWITCHES


def read_unit(text: str) -> dict[str, list[str]]:
    """The settings of a unit by name, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found[name].append(value)
    return found


def filters_of(unit: dict[str, list[str]]) -> dict[str, Any]:
    """What `confine.py` loads."""
    families = [getattr(socket, name).value for name in unit["RestrictAddressFamilies"][0].split()]
    flags = [name for name in SWITCHES if unit[name] == ["yes"]]
    known = sorted(members("@known"))
    return {"allowed": sorted(allowed_calls(unit)), "known": known, "families": families, "flags": flags}


def allowed_calls(unit: dict[str, list[str]]) -> set[str]:
    """The system calls that SystemCallFilter= lets through."""
    allowed = members("@default")
    for words in unit["SystemCallFilter"]:
        named = {call for word in words.removeprefix("~").split() for call in members(word)}
        allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


@cache
def members(name: str) -> set[str]:
    """The system calls of a set, such as @network-io. Skips the test where there is no systemd-analyze."""
    if not name.startswith("@"):
        return {name}
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is missing on this machine (package systemd)")
    command = [found, "syscall-filter", "--no-pager", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.strip() for line in lines[1:] if line.startswith(" ") and not line.strip().startswith("#")]
    return {call for word in words for call in members(word)}


def unit_in(root: Path, name: str) -> dict[str, list[str]]:
    """An installed unit."""
    return read_unit((root / "etc/systemd/system" / name).read_text())
