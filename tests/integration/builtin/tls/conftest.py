"""An engine with a certificate, for clients that speak TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.origins import Certificate, certificate
from tests.clients.streams import HERE, LOCAL
from tests.engines.tls import pem_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For localhost and 127.0.0.1."""
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def engine(tmp_path: Path, server: Certificate) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as opened:
        await opened.use_certificate(pem_of(server))
        yield opened
        await opened.halt()
