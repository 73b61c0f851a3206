"""Short commands: run with a time limit, and ended when their caller is cancelled."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.services.programs import Account, ProgramError

GRACE_S = 10.0


@dataclass(frozen=True)
class Done:
    """Exit code and output (stdout and stderr) of a command."""

    code: int
    output: str


async def run(
    *command: str, limit_s: float, account: Account | None = None, environment: Mapping[str, str] | None = None
) -> Done:
    """Run a command. Raises ProgramError when it cannot be executed or exceeds the limit."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(limit_s):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise ProgramError(f"{command[0]} did not end within {limit_s:.0f} s") from error
    finally:
        await _ended(process)
    return Done(process.returncode or 0, output.decode(errors="replace"))


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the command and all that it started, with SIGTERM, and after some seconds with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await process.wait()
