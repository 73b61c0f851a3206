"""Labels in use, with their counts."""

from typing import Any

from tests.integration.conftest import Api


async def uses(api: Api, query: str = "") -> dict[str, Any]:
    items = (await api.call("GET", f"/labels?{query}", 200))["items"]
    return {one["key"]: (one["count"], [(value["value"], value["count"]) for value in one["values"]]) for one in items}


async def test_keys_and_values_are_counted_the_most_frequent_first(api: Api):
    node = await api.node()
    for labels in ({"customer": "7", "tier": "Gold"}, {"customer": "7"}, {"customer": "8"}, {}):
        await api.proxy(node, labels=labels)
    await api.call("POST", "/locations", 201, json={"name": "l", "labels": {"zone": "a"}})
    assert await uses(api) == {"customer": (3, [("7", 2), ("8", 1)]), "tier": (1, [("Gold", 1)])}
    assert list(await uses(api)) == ["customer", "tier"]
    assert await uses(api, "key=customer&q=8") == {"customer": (1, [("8", 1)])}
    assert await uses(api, "q=gO") == {"tier": (1, [("Gold", 1)])}
    assert await uses(api, "kind=location") == {"zone": (1, [("a", 1)])}
    assert await uses(api, "kind=node") == {}


async def test_one_key_shows_more_values_than_all_keys_do(api: Api):
    await api.rows.execute(
        "INSERT INTO stacks (name, spread, proxy, labels)"
        " SELECT 's' || i, 'nodes', '{}', jsonb_build_object('order', i::text) FROM generate_series(1, 30) i"
    )
    assert {key: (count, len(values)) for key, (count, values) in (await uses(api, "kind=stack")).items()} == {
        "order": (30, 20)
    }
    assert len((await uses(api, "kind=stack&key=order"))["order"][1]) == 30


async def test_an_unknown_kind_is_refused(api: Api):
    await api.call("GET", "/labels?kind=planet", 422)
