"""Finds the 3proxy of this host."""

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
    """The program that the setting names, or else the one on PATH; None when it cannot be run.

    A setting that leads nowhere is not replaced by another program.
    """
    if setting is None:
        found = shutil.which("3proxy")
        return Path(found) if found else None
    return setting if setting.is_file() and os.access(setting, os.X_OK) else None


async def version(binary: Path) -> str:
    """Such as "1.0.0"; "unknown" when the program does not tell. Raises OSError when it cannot be run.

    3proxy has no option for it: two arguments are one too many and make it print its usage, the version included.
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
    """Raises EngineError for a 3proxy that miscounts connections: in 0.9.5 a refused one, before that one without a
    login, is taken off the number of those that are open, and the next gets in."""
    if release.startswith("0."):
        raise EngineError(f"3proxy {release} cannot hold a limit of connections: use the builtin engine, or 3proxy 1.0")
