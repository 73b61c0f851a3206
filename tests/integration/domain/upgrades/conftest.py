"""A fleet whose master offers 0.2.0, signed by a key that it trusts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from master.asgi import DOWNLOADS
from master.db.database import Database
from tests.integration.conftest import Api
from tests.master.shared_app import shared
from tests.master.upgrades import Fleet, releases


@pytest.fixture
def fleet(api: Api, rows: Database, tmp_path: Path) -> Iterator[Fleet]:
    downloads = shared()[0].state[DOWNLOADS]
    before, made = downloads.folder, Fleet(api, rows, releases(tmp_path / "bundles", "0.2.0", "0.1.0"))
    downloads.folder = made.source
    yield made
    downloads.folder = before
