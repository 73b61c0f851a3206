"""Finds the 3proxy program of this host."""

import asyncio
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from node.engine.interface import EngineError

VERSION = re.compile(r"\b3proxy-(\d[\w.]*)")

ANSWER_WITHIN_S = 3.0


def find_binary(setting: Path | None) -> Path | None:
    """The program named by the setting, or else the one on PATH; None if it cannot be executed.

    A setting that names no executable is not replaced by another program.
    """
    if setting is None:
        found = shutil.which("3proxy")
        return Path(found) if found else None
    return setting if setting.is_file() and os.access(setting, os.X_OK) else None


async def version(binary: Path) -> str:
    """The version, such as "1.0.0", or "unknown". Raises OSError if the program cannot be executed.

    3proxy has no option for it. Two arguments are one too many, so it prints its usage, which includes the version.
    """
    process = await asyncio.create_subprocess_exec(
        binary,
        "-",
        "-",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return "unknown"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    found = VERSION.search(output.decode(errors="replace"))
    return found[1] if found else "unknown"


def refuse_uncounted(release: str) -> None:
    """Raise EngineError for a 3proxy that miscounts connections: in 0.9.5, a refused one, or one without a login before
    it, is subtracted from the open ones, and the next one is let in."""
    if release.startswith("0."):
        raise EngineError(
            f"3proxy {release} cannot enforce a limit of connections: use the builtin engine, or 3proxy 1.0"
        )
