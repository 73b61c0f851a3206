"""3proxy for every test of this folder, each of those that there are."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.test_engine_contract import (
    answer_echo,
    answer_page,
    serving,
)
from tests.three_proxies import binaries


@pytest.fixture(params=binaries() or [None], ids=str)
def binary(request: pytest.FixtureRequest) -> Path:
    if request.param is None:
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    return request.param


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "engine"


@pytest.fixture
async def page() -> AsyncIterator[int]:
    async with serving(answer_page) as port:
        yield port


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async with serving(answer_echo) as port:
        yield port
