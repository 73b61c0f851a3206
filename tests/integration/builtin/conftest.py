"""The built-in engine for tests of what its clients see."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.streams import LOCAL


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    """One worker, whose clients may connect to this host. Modules that need another one define their own."""
    async with BuiltinEngine(tmp_path / "engine", workers=1, allow_destinations=LOCAL) as opened:
        yield opened
        await opened.halt()
