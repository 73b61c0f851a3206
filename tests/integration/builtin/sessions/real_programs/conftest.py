"""An engine whose proxies real programs use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.streams import HERE, LOCAL, record


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    """A proxy that nobody used in the end is an error: a program may have gone another way."""
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, allow_destinations=LOCAL, workers=1) as opened:
        yield opened
        assert all(each["accepted"] for each in (await opened.stats()).values())
        await opened.halt()


@pytest.fixture
async def proxy(engine: BuiltinEngine) -> ProxyRecord:
    """For alice with the password wonder."""
    made = record()
    await engine.start(made)
    return made
