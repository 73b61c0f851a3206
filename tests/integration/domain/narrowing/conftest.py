"""A fleet of several customers, and the token of one of them."""

import pytest

from tests.integration.conftest import Api
from tests.master.narrowed import Part, part


@pytest.fixture
async def fleet(api: Api) -> Api:
    """Proxies 1 (customer 7) and 2 (customer 8) are on node 1 in location 1; 3 is free, on node 2 in location 2."""
    for name in ("here", "there"):
        await api.node(location_id=await api.location(name))
    await api.proxy(1, name="mine", username="alice", labels={"customer": "7"})
    await api.proxy(1, name="other", username="alfred", labels={"customer": "8"})
    await api.proxy(2, name="free")
    return api


@pytest.fixture
async def seven(fleet: Api) -> Part:
    """What a token for customer 7 has."""
    return await part(fleet, label="customer:7")
