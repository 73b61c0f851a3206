"""The documentation page of the API at /api, in a browser."""

import pytest

from tests.web.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_api_page_lists_the_calls(visit: Visit):
    page = await visit("/api")
    await page.get_by_text("/proxies", exact=False).first.wait_for()
