"""Examination: runs the checks of a doctor concurrently, each on its own, and prints their findings."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches

from shared.doctor.findings import Finding, as_json, as_text, exit_code, problem

LIMIT_S = 20.0
"""Time limit of one check, above the sum of the waits inside it."""

Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(checks: Mapping[str, Check], *, limit_s: float = LIMIT_S) -> list[Finding]:
    """Run all checks and return their findings in order. A check that fails or takes too long becomes a problem."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_check(name, check, limit_s)) for name, check in checks.items()]
    return [finding for task in tasks for finding in task.result()]


async def run_check(name: str, check: Check, limit_s: float) -> Sequence[Finding]:
    """Run one check and return its findings, or a problem that explains why it failed."""
    try:
        async with asyncio.timeout(limit_s):
            return await check()
    except TimeoutError:
        return [problem(name, f"could not be checked within {limit_s:g} s", "find out whether that program hangs")]
    except PermissionError as error:
        advice = "run the doctor as the program's own user"
        return [problem(name, f"{error.filename or 'a file'} cannot be read", advice)]
    except Exception as error:  # noqa: BLE001 (reported by its type alone: the text may hold a secret)
        return [problem(name, f"the check itself failed: {type(error).__name__}", "please report this")]


def print_findings(findings: Sequence[Finding], *, to_program: bool) -> int:
    """Print the findings and return the exit code."""
    sys.stdout.write((as_json if to_program else as_text)(findings) + "\n")
    return exit_code(findings)


def likely_meant(variable: str, env: Mapping[str, str] = os.environ) -> str:
    """Hint at a set variable with a similar name; empty if there is none. Never shows a value."""
    near = [name for name in get_close_matches(variable, env, n=1, cutoff=0.8) if name != variable]
    return f"; {near[0]} is set; did you mean {variable}?" if near else ""
