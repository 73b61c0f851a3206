"""Two nodes of one location, between which proxies move."""

import pytest

from tests.integration.conftest import Api


@pytest.fixture
async def pair(api: Api) -> tuple[int, int]:
    """Two nodes of one location."""
    home = await api.location()
    return await api.node(location_id=home), await api.node(location_id=home)
