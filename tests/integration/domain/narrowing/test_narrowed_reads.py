"""What a token with a filter reads."""

from tests.integration.conftest import Api
from tests.master.narrowed import narrowed


async def test_a_token_lists_only_the_proxies_of_its_filter(api: Api):
    location = await api.location()
    node, elsewhere = await api.node(location_id=location), await api.node()
    stack = await api.call("POST", "/stacks", 201, json={"name": "one", "count": 2, "proxy": {"location_id": location}})
    mine = await api.proxy(node, labels={"customer": "7"})
    await api.proxy(elsewhere, labels={"customer": "70"})
    in_stack = [one["id"] for one in (await api.call("GET", "/proxies?stack=one", 200))["items"]]

    async def seen(**filter_: str | int) -> list[int]:
        with narrowed(**filter_):
            return [one["id"] for one in (await api.call("GET", "/proxies", 200))["items"]]

    assert await seen(label="customer:7") == [mine["id"]]
    assert await seen(stack=stack["id"]) == in_stack
    assert await seen(location=location) == [*in_stack, mine["id"]]
