"""Looks at several things side by side; whatever becomes of one look, the others are told."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches

from shared.doctor.findings import Finding, as_json, as_text, exit_code, problem

LIMIT_S = 20.0
"""For each look as a whole, above the sum of the waits inside it."""

Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(looks: Mapping[str, Check], *, limit_s: float = LIMIT_S) -> list[Finding]:
    """What all of them found, in their order. A look that fails or takes too long is a problem of its own."""
    async with asyncio.TaskGroup() as group:
        found = [group.create_task(run_check(name, look, limit_s)) for name, look in looks.items()]
    return [finding for task in found for finding in task.result()]


async def run_check(name: str, look: Check, limit_s: float) -> Sequence[Finding]:
    """Its findings, or one that says why there are none."""
    try:
        async with asyncio.timeout(limit_s):
            return await look()
    except TimeoutError:
        return [problem(name, f"could not be looked at within {limit_s:g} s", "look whether that program hangs")]
    except PermissionError as error:
        return [problem(name, f"{error.filename or 'something'} cannot be read", "run this as the program's own user")]
    except Exception as error:  # noqa: BLE001 (told as a finding; its text may hold a secret, its name does not)
        return [problem(name, f"the check itself failed: {type(error).__name__}", "please report this")]


def print_findings(findings: Sequence[Finding], *, to_program: bool) -> int:
    """Print them; answers the exit code."""
    sys.stdout.write((as_json if to_program else as_text)(findings) + "\n")
    return exit_code(findings)


def likely_meant(variable: str, env: Mapping[str, str] = os.environ) -> str:
    """A hint at a variable that is set and has nearly this name, or nothing. Never a value."""
    near = [name for name in get_close_matches(variable, env, n=1, cutoff=0.8) if name != variable]
    return f"; {near[0]} is set: was {variable} meant?" if near else ""
