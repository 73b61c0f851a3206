"""Every engine that there is, for every test of this folder."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.streams import HERE, LOCAL
from tests.engines.three_proxy_binaries import binaries, skip_where_too_old

OpenEngine = Callable[..., AbstractAsyncContextManager[Any]]


def builtin(directory: Path, on_change: Callable[[], None]) -> Any:
    from node.engine.builtin.engine import BuiltinEngine

    return BuiltinEngine(directory, listen=HERE, allow_destinations=LOCAL, workers=1, on_change=on_change)


def three_proxy(binary: Path | None, directory: Path, on_change: Callable[[], None]) -> Any:
    if binary is None:
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    from node.engine.three_proxy.engine import ThreeProxyEngine

    return ThreeProxyEngine(directory, binary=binary, listen=HERE, on_change=on_change)


def engines() -> list[Any]:
    """The built-in one, and each 3proxy that there is."""
    found = [pytest.param(partial(three_proxy, binary), id=f"3proxy {binary}") for binary in binaries() or [None]]
    return [pytest.param(builtin, id="builtin"), *found]


@pytest.fixture(params=engines())
def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenEngine:
    """Opens the engine of one directory; what it runs is halted at the end, unless `leave` is asked for."""

    @asynccontextmanager
    async def opened(*, leave: bool = False, on_change: Callable[[], None] = lambda: None) -> AsyncIterator[Any]:
        async with request.param(tmp_path / "engine", on_change) as engine:
            try:
                yield engine
            except BaseException as error:
                await engine.halt()
                skip_where_too_old(error)
                raise
            if not leave:
                await engine.halt()

    return opened
