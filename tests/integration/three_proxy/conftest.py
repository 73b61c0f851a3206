"""3proxy for every test of this folder, each of those that there are."""

from pathlib import Path

import pytest

from tests.engines.three_proxy_binaries import binaries


@pytest.fixture(params=binaries() or [None], ids=str)
def binary(request: pytest.FixtureRequest) -> Path:
    if request.param is None:
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    return request.param


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "engine"
