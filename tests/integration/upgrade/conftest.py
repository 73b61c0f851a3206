"""An installation of version 0.1.0, and a server for releases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upgrades.installation import Installation
from tests.upgrades.releases import served, trust


@pytest.fixture
def node() -> Iterator[Installation]:
    made = Installation()
    trust(made)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("releases") / "bundle"
    with served(folder) as url:
        yield url, folder
