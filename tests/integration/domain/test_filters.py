"""Filters, orders and counts of lists, against a model and against each other."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from master.db.database import Database, Row, Session
from master.domain.proxies.schemas import ProxyFilter, ProxyList
from master.domain.proxies.service import matching
from master.schemas.filters import filter_parameters
from master.schemas.timestamps import rfc_3339
from tests.integration.conftest import Api
from tests.master.filter_model import KEYS, LOGINS, MOMENTS, VALUES, fill, matches
from tests.services.postgres import Database as Address

EXAMPLES, NEVER = 60, 9999
STATES = ["running", "pending", "failed", "limited", "expired", "stopped", "unknown"]
RELABEL = "UPDATE proxies SET labels = labels || jsonb_build_object('seen', $1::text) WHERE id = ANY ($2)"
SORTS = ["id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at", "expires_at"]


@pytest.fixture
async def fleet(database: Address) -> AsyncIterator[Session]:
    """A session over a random fleet."""
    async with database.connection() as rows:
        await fill(rows, seed=7)
    own = Database(database.connect)
    async with own.session() as session:
        yield session
    await own.close()


@pytest.fixture
async def filled(api: Api) -> Api:
    """The API over the same fleet."""
    await fill(api.rows, seed=7)
    return api


def some(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


LABELS = some(*KEYS, "nothing", *(f"{key}:{value}" for key in KEYS for value in VALUES))
EQUAL = {
    "id": some(1, 2, 3, 40, 99),
    "location_id": some(1, 2, 3),
    "node_id": some(1, 2, 3, 4, 9),
    "stack_id": some(1, 2, 3),
    "protocol": some("http", "socks5", "mixed"),
    "engine": some("builtin", "3proxy"),
    "enabled": some(True, False),
    "state": some(*STATES),
    "reason": some("broken", "disabled", "nothing"),
    "port": some(20000, 20001, 30000),
    "name": some("alpha0", "beta1", "nothing"),
    "username": some(*filter(None, LOGINS), "nobody"),
}
MEMBERS = {
    **EQUAL,
    **{f"not.{name}": values for name, values in EQUAL.items()},
    "label": LABELS,
    "not.label": LABELS,
    "q": st.sampled_from(["a", "AL", "alpha1", "b", "10.0.", "10.0.1.1", "7", "17", "%", "_"]),
    "quota_from": st.sampled_from([0, 40, 50, 80, 100]),
    **dict.fromkeys(("expires_before", "expires_after", "created_since", "updated_since"), st.sampled_from(MOMENTS)),
}
FILTERS = st.lists(st.sampled_from(sorted(MEMBERS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: MEMBERS[name] for name in names})
)


def as_sent(filter_: dict[str, Any]) -> dict[str, Any]:
    return {name: rfc_3339(value) if value in MOMENTS else value for name, value in filter_.items()}


def with_expiry(row: Row) -> Row:
    """The row with the time that it is sorted by."""
    return {**row, "expires_at": None if row["sort_key"].year == NEVER else row["sort_key"]}


@given(filter_=FILTERS, sort=st.sampled_from(SORTS))
@settings(
    max_examples=EXAMPLES,
    phases=(Phase.generate,),
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_a_filter_finds_what_its_model_finds_in_every_order(fleet: Session, filter_: dict[str, Any], sort: str):
    by_expiry = ProxyList(sort="expires_at", limit=1000)
    everything = await fleet.rows(
        "proxies.select_page by expires_at", **filter_parameters(by_expiry, ProxyFilter), **by_expiry.position
    )
    expected = sorted(row["id"] for row in everything if matches(with_expiry(row), filter_))
    query = ProxyList.model_validate({**as_sent(filter_), "sort": sort, "limit": 1000})
    assert [row["id"] for row in await matching(fleet, query)] == expected
    rows = await fleet.rows(f"proxies.select_page by {sort}", **filter_parameters(query, ProxyFilter), **query.position)
    keys = [(row["sort_key"], row["id"]) for row in rows]
    assert sorted(row["id"] for row in rows) == expected
    assert keys == sorted(keys, reverse=sort.startswith("-"))


async def test_pages_of_every_order_show_each_proxy_once_while_others_change(filled: Api):
    """What a page has shown changes before the next is read: sorted by changes, it is shown again at the end."""
    for sort in SORTS:
        seen: list[int] = []
        after = ""
        while after is not None:
            page = await filled.call("GET", f"/proxies?sort={sort}&limit=7{after and '&after=' + after}", 200)
            seen += (shown := [one["id"] for one in page["items"]])
            after = page["next"]
            await filled.rows.execute(RELABEL, sort, shown[:2])
        assert set(seen) == set(range(1, 41)), sort
        assert sort == "updated_at" or len(seen) == 40, sort


async def test_a_cursor_of_another_order_is_refused(filled: Api):
    after = (await filled.call("GET", "/proxies?sort=name&limit=2", 200))["next"]
    problem = await filled.call("GET", f"/proxies?sort=-name&after={after}", 422)
    assert problem["errors"][0]["parameter"] == "after"


async def listed(api: Api, query: str, path: str = "/proxies") -> list[int]:
    return [one["id"] for one in (await api.call("GET", f"{path}?limit=1000&{query}", 200))["items"]]


async def test_a_filter_matches_the_same_proxies_wherever_it_is_taken(filled: Api):
    query = "label=customer&not.state=failed&node=node-1&node=node-2&not.protocol=http&q=10."
    ids = await listed(filled, query)
    assert 0 < len(ids) < 40
    count = len(ids)
    assert (await filled.call("GET", f"/proxies/count?{query}", 200)) == {"items": [], "total": count}
    exported = await filled.http.get(f"/proxies/export?template={{id}}&{query}")
    assert [int(line) for line in exported.text.split()] == ids
    for method, path, more in [
        ("PATCH", "/proxies", {"json": {"enabled": False}}),
        ("DELETE", "/proxies", {}),
        ("POST", "/proxies/rotate", {"json": {"what": ["port"]}}),
        ("POST", "/proxies/check", {"json": {}}),
    ]:
        refused = await filled.call(method, f"{path}?{query}&expect={count + 1}", 409, **more)
        assert refused["matched"] == count, path
    body = {
        "label": "customer",
        "not.state": ["failed"],
        "node": ["node-1", "node-2"],
        "not.protocol": "http",
        "q": "10.",
    }
    link = await filled.call("POST", "/links", 201, json={"kind": "list", "template": "{id}", "filter": body})
    assert [int(line) for line in (await filled.http.get(link["path"])).text.split()] == ids
    dry = await filled.call("DELETE", f"/proxies?{query}&expect={count}&dry_run=true", 200)
    assert [one["proxy_id"] for one in dry["removed"]] == ids


@pytest.mark.parametrize("by", ["state,node", "location,enabled,protocol", "stack,label:tier"])
async def test_counts_add_up_to_the_list(filled: Api, by: str):
    proxies = (await filled.call("GET", "/proxies?limit=1000&not.port=20000", 200))["items"]
    found = await filled.call("GET", f"/proxies/count?by={by}&not.port=20000", 200)

    def group(one: dict[str, Any], labels: dict[str, Any]) -> tuple[Any, ...]:
        flat = {**one, **one.get("status", {})}
        names = {"node": "node_id", "location": "location_id", "stack": "stack_id"}
        return tuple(
            labels.get(part.removeprefix("label:")) if part.startswith("label:") else flat[names.get(part, part)]
            for part in by.split(",")
        )

    expected = Counter(group(one, one["labels"]) for one in proxies)
    assert {group(one, one["labels"]): one["count"] for one in found["items"]} == expected
    assert found["total"] == len(proxies) == 39
    counts = [one["count"] for one in found["items"]]
    assert counts == sorted(counts, reverse=True)


async def test_groups_beyond_the_limit_are_left_out_and_counted(filled: Api):
    found = await filled.call("GET", "/proxies/count?by=node&limit=1", 200)
    assert (len(found["items"]), found["total"]) == (1, 40)


async def test_live_figures_are_summed_up_on_request(filled: Api):
    await filled.rows.execute("UPDATE node_status SET connections = 5")
    await filled.rows.execute(
        "INSERT INTO proxy_live SELECT id, node_id, 2, 10, 20, now() FROM proxies WHERE engine = 'builtin'"
    )
    there = await filled.rows.fetchval("SELECT count(*) FROM proxies WHERE engine = 'builtin' AND node_id = 1")
    [one] = (await filled.call("GET", "/proxies/count?by=node&node_id=1&live=true", 200))["items"]
    assert (one["connections"], one["rx_bps"], one["tx_bps"]) == (2 * there, 10 * there, 20 * there)
    [one] = (await filled.call("GET", "/proxies/count?by=node&node_id=1", 200))["items"]
    assert (one["connections"], one["rx_bps"], one["tx_bps"]) == (None, None, None)


async def test_each_group_says_when_the_next_of_its_proxies_expires(filled: Api):
    await filled.rows.execute(
        "UPDATE proxies SET limits = CASE WHEN id % 3 = 0 THEN '{}' ELSE jsonb_build_object('expires_at', "
        "to_char(timestamp '2025-01-01' + id % 2 * interval '100 years' + id * interval '1 hour', "
        """'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END"""
    )
    proxies = (await filled.call("GET", "/proxies?limit=1000", 200))["items"]
    expected: dict[int, str | None] = {one["node_id"]: None for one in proxies}
    for one in proxies:
        moment = one["limits"].get("expires_at")
        if moment is not None and moment > "2100":
            expected[one["node_id"]] = min(moment, expected[one["node_id"]] or moment)
    found = (await filled.call("GET", "/proxies/count?by=node", 200))["items"]
    assert {one["node_id"]: one["next_expiry"] for one in found} == expected
    assert any(expected.values())


async def test_groups_that_are_not_known_are_refused_with_those_that_are(api: Api):
    for path, by, words in [
        ("/proxies", "stat", "did you mean state?"),
        ("/proxies", "state,node,engine,port", "at most 3 groups"),
        ("/proxies", "label:", "label:customer"),
        ("/nodes", "stack", "known: state, link, location, label:KEY"),
    ]:
        assert words in (await api.call("GET", f"{path}/count?by={by}", 422))["detail"]


async def test_nodes_are_filtered_sorted_and_counted(filled: Api):
    await filled.rows.execute('UPDATE nodes SET labels = \'{"rack": "7"}\' WHERE id <> 2')
    for query, ids in {
        "state=active&state=draining": [1, 2, 4],
        "not.state=disabled": [1, 2, 4],
        "link=offline": [4],
        "not.location=there": [1, 4],
        "label=rack&not.id=1": [3, 4],
        "not.label=rack:7": [2],
        "q=NODE-2": [2],
        "q=10.0.3": [3],
        "sort=-name": [4, 3, 2, 1],
    }.items():
        assert await listed(filled, query, "/nodes") == ids, query
    found = await filled.call("GET", "/nodes/count?by=location,label:rack&link=online", 200)
    assert [(one["location_id"], one["labels"], one["count"]) for one in found["items"]] == [
        (1, {"rack": "7"}, 1),
        (2, {"rack": "7"}, 1),
        (2, {"rack": None}, 1),
    ]
    assert found["total"] == 3


async def test_stacks_and_locations_are_filtered_and_sorted(filled: Api):
    for path, query, ids in [
        ("/stacks", "q=S2", [2]),
        ("/stacks", "not.name=s1&not.label=a", [2]),
        ("/stacks", "sort=-created_at", [2, 1]),
        ("/locations", "q=T", [2]),
        ("/locations", "id=1&id=2&not.name=here", [2]),
        ("/locations", "sort=-name", [2, 1]),
    ]:
        assert await listed(filled, query, path) == ids, (path, query)


async def test_an_unknown_parameter_is_answered_with_the_nearest_and_all_that_are_known(api: Api):
    for query, words in [
        ("stat=running", "did you mean state?"),
        ("not.stat=running", "did you mean not.state?"),
        ("nod_id=1", "did you mean node_id?"),
        ("not_state=running", "did you mean not.state?"),
        ("xyz=1", "known: id, label, q, location_id"),
        ("xyz=1", "; not. may stand before id, label, location_id"),
    ]:
        assert words in (await api.call("GET", f"/proxies?{query}", 422))["detail"]


async def test_a_value_that_no_proxy_can_have_is_refused_by_its_parameter(api: Api):
    for query in ("q=", "id=x", "id=0", "state=runing", "label=a=b", "sort=port", "enabled=1", "after=x"):
        problem = await api.call("GET", f"/proxies?{query}", 422)
        assert problem["errors"][0]["parameter"] == query.partition("=")[0]


async def test_an_unknown_name_to_exclude_is_reported_as_such(filled: Api):
    problem = await filled.call("GET", "/proxies?not.node=node-1&not.node=nod-2", 422)
    assert problem["errors"][0]["parameter"] == "not.node"
    assert 'did you mean "node-2"?' in problem["detail"]


async def test_secrets_are_null_where_they_are_not_asked_for(api: Api):
    node = await api.node(location_id=await api.location())
    id_ = (await api.proxy(node))["id"]
    template = {"location_id": 1, "username": "ann", "password": "shared-secret"}
    await api.call("POST", "/stacks", 201, json={"name": "shop", "count": 1, "proxy": template})
    for path in (f"/proxies/{id_}", "/proxies", "/stacks", "/stacks/1", "/stacks/by-name/shop"):
        shown = await api.http.get(f"{path}?secrets=no")
        assert shown.status_code == 200
        assert "secret" not in shown.text
        assert "://" not in shown.text
        assert "password" in shown.text
    assert (await api.call("GET", f"/proxies/{id_}?secrets=no", 200))["urls"] is None
    assert (await api.call("GET", "/stacks/1?secrets=no", 200))["proxy"]["password"] is None
    assert (await api.call("GET", f"/proxies/{id_}", 200))["urls"]
