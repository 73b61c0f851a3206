"""How findings are told, and that one bad look never hides the others."""

import asyncio
import json

import pytest

from shared.doctor.examination import examine, likely_meant
from shared.doctor.findings import Finding, as_json, as_text, exit_code, ok, problem, some, warning

FINE, BAD = ok("schema", "fine"), problem("API", "taken", "choose another")


@pytest.mark.parametrize(
    ("found", "code"), [([], 0), ([FINE], 0), ([FINE, warning("a", "b", "c")], 0), ([FINE, BAD], 1)]
)
def test_only_a_problem_makes_the_exit_code_1(found: list[Finding], code: int):
    assert exit_code(found) == code


def test_each_finding_is_one_line_with_what_to_do():
    assert as_text([FINE, BAD]).splitlines()[:2] == ["ok       schema: fine", "problem  API: taken -> choose another"]


def test_what_others_said_cannot_break_a_line_or_steer_a_terminal():
    assert str(ok("a", "b\n\x1b[2Jc\r\n")) == "ok       a: b [2Jc"


def test_programs_get_the_same_as_json():
    told = json.loads(as_json([FINE, BAD]))
    assert told["ok"] is False
    assert told["findings"][1] == {"check": "API", "level": "problem", "text": "taken", "advice": "choose another"}


def test_long_lists_are_cut_with_their_length():
    assert (some([1, 2]), some(range(9), 3)) == ("1, 2", "0, 1, 2 and 6 more")


async def test_a_look_that_fails_or_hangs_hides_no_other_and_tells_no_secret():
    async def fails() -> list[Finding]:
        raise ValueError("password hunter2")

    async def hangs() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def forbidden() -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/data/copy.db")

    async def works() -> list[Finding]:
        return [FINE]

    looks = {"a": fails, "b": hangs, "c": forbidden, "d": works}
    found = await examine(looks, limit_s=0.05)
    assert [finding.level for finding in found] == ["problem", "problem", "problem", "ok"]
    assert "hunter2" not in as_text(found)
    assert "/data/copy.db cannot be read" in found[2].text


def test_a_misspelt_variable_is_pointed_out_by_name_alone():
    hint = likely_meant("DATABASE_USERNAME", {"DATABASE_USER_NAME": "hunter2", "PATH": "/bin"})
    assert "DATABASE_USER_NAME is set" in hint
    assert "hunter2" not in hint
