"""3proxy engines that leave no process behind, and their processes."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from node.engine.three_proxy.engine import ThreeProxyEngine
from tests.clients.streams import HERE, until
from tests.engines.three_proxy_binaries import skip_where_too_old


@asynccontextmanager
async def opened(directory: Path, binary: Path, **options: Any) -> AsyncGenerator[ThreeProxyEngine]:
    """An engine that is halted at the end. A test that needs a mixed proxy is skipped if 3proxy is too old for it."""
    settings: dict[str, Any] = {"listen": HERE, **options}
    async with ThreeProxyEngine(directory, binary=binary, **settings) as engine:
        try:
            yield engine
        except Exception as error:
            skip_where_too_old(error)
            raise
        finally:
            await engine.halt()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def processes_of(directory: Path) -> list[int]:
    """All processes that were started with a file of the directory."""
    found: list[int] = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if os.fsencode(directory) in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


async def vanished(directory: Path) -> None:
    async def none_left() -> bool:
        return not processes_of(directory)

    await until(none_left)
