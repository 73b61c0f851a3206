"""A token with a filter gets what an admin gets of its part, names nothing else and changes nothing else."""

import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Api
from tests.master.narrowed import Part, part
from tests.master.narrowed_oracle import Known, known, outside
from tests.master.random_fleet import CUSTOMERS, begin, happen, ids, some_of

EXAMPLES, LONG_EXAMPLES = 3, 20
EVENTS = 14
ID = re.compile(r"(?<!\d)([1-6])\1\d{6}(?!\d)")
PATHS = (
    "/proxies?limit=1000",
    "/proxies?q=1&sort=-updated_at",
    "/proxies/count?by=state,node,stack",
    "/proxies/count?by=location,reason",
    "/proxies/export?format=json",
    "/nodes?limit=1000",
    "/nodes/count?by=state,link,location",
    "/locations",
    "/stacks?limit=1000",
    "/events?limit=1000",
    "/events?limit=1000&type=proxy.*&order=desc",
    "/usage?by=proxy,node,stack,location",
    "/usage?by=node&sort=-bytes",
    "/rotations?limit=1000",
    "/links",
    *(f"/labels?kind={kind}" for kind in ("proxy", "node", "location", "stack")),
    *(f"/search?q={text}" for text in ("1", "node-", "place", "stack", "10.0")),
    "/proxies?node=nobody",
    "/proxies?stack=nobody",
)
FILTERS = {"label": "label={}", "stack": "stack_id={}", "location": "location_id={}"}
PARAMETERS = {
    "phases": (Phase.generate,),
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}

Filter = dict[str, Any]


async def filters(api: Api, draw: random.Random) -> list[Filter]:
    """One filter of each kind."""
    return [
        {"label": f"customer:{draw.choice(CUSTOMERS)}"},
        {"location": draw.choice(await ids(api, "locations"))},
        *({"stack": id_} for id_ in some_of(draw, await ids(api, "stacks"))[:1]),
    ]


async def every(api: Api | Part, path: str) -> list[dict[str, Any]]:
    return (await api.call("GET", path, 200))["items"]


async def check_names(own: Part, may_know: Known, api: Api) -> None:
    """No answer has an id of anything outside."""
    endpoints = some_of(random.Random(1), await every(api, "/proxies?limit=1000"))
    for path in (*PATHS, *(f"/lookup?ip={one['host']}&port={one['port']}" for one in endpoints)):
        text = await own.text(path)
        strange = {int(match[0]) for match in ID.finditer(text)} - may_know.ids - {*own.filter.values()}
        near = [text[max(0, text.find(str(id_)) - 300) : text.find(str(id_)) + 100] for id_ in strange]
        assert not strange, (own.filter, path, near)


async def check_answers(own: Part, filter_: Filter, may_know: Known, api: Api) -> None:
    """What an admin gets of this part is what the token gets."""
    [(kind, value)] = filter_.items()
    where = FILTERS[kind].format(value)
    assert {one["id"] for one in await every(own, "/stacks?limit=1000")} == may_know.stacks
    assert {one["id"] for one in await every(own, "/locations")} == may_know.locations
    assert {one["id"] for one in await every(own, "/nodes?limit=1000")} == may_know.nodes
    assert {one["id"] for one in await every(own, "/rotations?limit=1000")} == may_know.rotations
    proxies = [
        one | ({} if one["stack_id"] in may_know.stacks else {"stack_id": None})
        for one in await every(api, f"/proxies?limit=1000&{where}")
    ]
    assert await every(own, "/proxies?limit=1000") == proxies
    counts = "/proxies/count?by=state,node,location"
    assert await every(own, counts) == await every(api, f"{counts}&{where}")
    assert await own.text("/proxies/export") == (await api.http.get(f"/proxies/export?{where}")).text
    usage = "/usage?by=proxy&limit=1000"
    place = "" if kind == "label" else f"&{where}"
    sums = [one for one in await every(api, usage + place) if one["proxy_id"] in may_know.proxies]
    assert await every(own, usage) == sums


async def check_events(own: Part, filter_: Filter, may_know: Known, api: Api) -> None:
    """The events are those of its proxies while they were in its place, and of its stacks."""

    def is_inside(event: dict[str, Any]) -> bool:
        if event["proxy_id"] is None:
            own_stacks = may_know.stacks | {filter_.get("stack")}
            return event["type"].startswith("stack.") and event["stack_id"] in own_stacks
        return event["proxy_id"] in may_know.proxies and event["location_id"] == filter_.get(
            "location", event["location_id"]
        )

    kinds = "&type=proxy.*&type=stack.*&type=usage.*"
    wanted = [one["id"] for one in await every(api, f"/events?limit=1000{kinds}") if is_inside(one)]
    assert [one["id"] for one in await every(own, "/events?limit=1000")] == wanted
    newest = await every(own, f"/events?limit=5&order=desc{kinds}")
    assert [one["id"] for one in newest] == wanted[:-6:-1]
    some = [one for one in await every(api, f"/events?limit=1000{kinds}&proxy_id=11000002") if is_inside(one)]
    assert [one["id"] for one in await every(own, "/events?proxy_id=11000002")] == [one["id"] for one in some][:100]


async def write(own: Part, draw: random.Random, may_know: Known, api: Api) -> None:
    """Try to change something, inside or outside, whatever the answer is."""
    every_id = sorted(may_know.present) or [1]
    proxy = draw.choice((*every_id, 11_000_001, 11_000_004, 11_000_007))
    customer = {"labels": {"customer": draw.choice((None, *CUSTOMERS))}}
    places = sorted(may_know.locations) or [44_000_001]
    template = {"location_ids": [draw.choice((*places, 44_000_002))]}
    everything = f"all=true&expect={len(may_know.present)}"
    method, path, body = draw.choice(
        (
            ("PATCH", f"/proxies/{proxy}", {"enabled": False}),
            ("PATCH", f"/proxies/{proxy}", customer),
            ("PATCH", f"/proxies?{everything}", customer),
            ("PATCH", f"/proxies?{everything}", {"limits": {"connections": 5}}),
            ("DELETE", f"/proxies/{proxy}", None),
            ("DELETE", f"/proxies?{everything}", None),
            ("POST", f"/proxies/{proxy}/rotate", {"what": ["port"]}),
            ("POST", "/proxies", {"location_id": template["location_ids"][0], **customer}),
            ("POST", "/proxies", {"node_ids": [draw.choice((22_000_001, 22_000_005))]}),
            ("POST", "/stacks", {"name": f"own {draw.random()}", "count": 1, "proxy": template}),
            ("PATCH", f"/stacks/{draw.choice((33_000_001, 33_000_002))}", {"count": 2, **customer}),
            ("DELETE", f"/stacks/{draw.choice((33_000_001, 33_000_003))}", None),
            ("POST", "/proxies/claim", {"count": 1, "labels": {"order": "1"}}),
            ("POST", "/links", {"kind": "list", "filter": {"enabled": True}}),
            ("DELETE", f"/links/{draw.choice((55_000_001, 55_000_002))}", None),
        )
    )
    body = body and {key: value for key, value in body.items() if value != {"customer": None} or method == "PATCH"}
    answer = await api.http.request(method, path, headers=own.headers, **({"json": body} if body else {}))
    assert answer.status_code < 500, (method, path, body, answer.text)
    named = {int(match[0]) for match in ID.finditer(answer.text)} - {int(match[0]) for match in ID.finditer(path)}
    named -= {*own.filter.values(), *(int(match[0]) for match in ID.finditer(str(body)))}
    after = await known(api, own.filter)
    assert named <= may_know.ids | after.ids, (method, path, body, answer.text)


async def hold(api: Api, draw: random.Random) -> None:
    """Let the fleet change, and look at it through tokens of each kind."""
    if not await ids(api, "nodes"):
        await begin(api)
    await happen(api, draw, EVENTS)
    for filter_ in await filters(api, draw):
        await api.rows.execute("DELETE FROM tokens")
        own = await part(api, **filter_)
        may_know = await known(api, filter_)
        await check_names(own, may_know, api)
        await check_answers(own, filter_, may_know, api)
        await check_events(own, filter_, may_know, api)
        for _ in range(4):
            may_know = await known(api, filter_)
            before = await outside(api, may_know)
            await write(own, draw, may_know, api)
            after = await outside(api, may_know)
            assert {k: [r for r in v if r in before[k]] for k, v in after.items()} == before


@given(seed=st.integers(0, 10**6))
@settings(max_examples=EXAMPLES, **PARAMETERS)
async def test_a_narrowed_token_has_its_part_of_the_fleet_and_no_more(api: Api, seed: int):
    await hold(api, random.Random(seed))


@pytest.mark.long
@given(seed=st.integers(0, 10**6))
@settings(max_examples=LONG_EXAMPLES, **PARAMETERS)
async def test_a_narrowed_token_has_its_part_of_many_fleets_and_no_more(api: Api, seed: int):
    await hold(api, random.Random(seed))
