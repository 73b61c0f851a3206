"""/locations"""

from tests.integration.conftest import Api


async def test_a_location_that_was_made_is_shown(api: Api):
    made = await api.call("POST", "/locations", 201, json={"name": "Oslo", "country": "NO", "labels": {"a": "b"}})
    assert await api.call("GET", f"/locations/{made['id']}", 200) == made


async def test_a_name_is_given_once(api: Api):
    await api.location("Oslo")
    problem = await api.call("POST", "/locations", 409, json={"name": "Oslo"})
    assert problem["type"] == "/problems/name-taken"


async def test_only_what_is_given_changes_and_labels_are_merged(api: Api):
    id_ = (await api.call("POST", "/locations", 201, json={"name": "Oslo", "labels": {"a": "1", "b": "2"}}))["id"]
    changed = await api.call("PATCH", f"/locations/{id_}", 200, json={"labels": {"a": None, "c": "3"}})
    assert (changed["name"], changed["labels"]) == ("Oslo", {"b": "2", "c": "3"})


async def test_a_change_that_changes_nothing_is_no_event(api: Api):
    id_ = await api.location("Oslo")
    await api.call("PATCH", f"/locations/{id_}", 200, json={"name": "Oslo"})
    assert await api.event_types() == ["location.created"]


async def test_a_location_where_nodes_stand_stays_and_says_how_many(api: Api):
    id_ = await api.location()
    await api.node(location_id=id_)
    problem = await api.call("DELETE", f"/locations/{id_}", 409)
    assert (problem["type"], problem["count"]) == ("/problems/still-used", 1)


async def test_a_location_that_was_removed_is_gone(api: Api):
    id_ = await api.location()
    await api.call("DELETE", f"/locations/{id_}", 204)
    await api.call("GET", f"/locations/{id_}", 404)


async def test_lists_are_filtered(api: Api):
    await api.call("POST", "/locations", 201, json={"name": "a", "country": "NO", "labels": {"x": "1"}})
    await api.call("POST", "/locations", 201, json={"name": "b", "country": "SE", "labels": {"x": "1", "y": "2"}})
    for query, names in {
        "country=NO": ["a"],
        "label=x:1": ["a", "b"],
        "label=x:1&label=y:2": ["b"],
        "name=c": [],
    }.items():
        listed = await api.call("GET", f"/locations?{query}", 200)
        assert [one["name"] for one in listed["items"]] == names


async def test_pages_follow_one_another_without_a_gap_or_a_double(api: Api):
    ids = [await api.location(f"l{number}") for number in range(5)]
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        page = await api.call("GET", f"/locations?limit=2{after and '&after=' + after}", 200)
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
    assert seen == ids
