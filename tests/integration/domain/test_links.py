"""Links: what they give, to whom, how often, and that their secrets stay secrets."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from master.domain.proxies import service as proxies
from tests.integration.conftest import Api
from tests.master.api_servers import master
from tests.services.postgres import Database as Address

PRIVATE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


async def made(api: Api, **wish: Any) -> dict[str, Any]:
    return await api.call("POST", "/links", 201, json={"kind": "list"} | wish)


async def over(api: Api, link: dict[str, Any]) -> None:
    await api.rows.execute("UPDATE links SET expires_at = now() WHERE id = $1", link["id"])


async def test_a_link_gives_the_export_of_its_filter(api: Api):
    node = await api.node()
    for tier, port in (("gold", 20001), ("tin", 20002)):
        await api.proxy(node, port=port, labels={"tier": tier})
    link = await made(api, filter={"label": ["tier:gold"], "enabled": True}, template="{port}")
    answer = await api.http.get(urlsplit(link["url"]).path)
    assert (answer.status_code, answer.text) == (200, "20001\n")
    assert PRIVATE.items() <= dict(answer.headers).items()
    assert link["url"].endswith(link["path"])


async def test_a_secret_is_shown_once_and_kept_as_a_hash_only(api: Api):
    link = await made(api, filter={"state": "running"})
    secret = link.pop("path").removeprefix("/l/")
    link.pop("url")
    assert len(secret) * 6 >= 128
    assert await api.call("GET", f"/links/{link['id']}", 200) == link
    assert (await api.call("GET", "/links", 200))["items"] == [link]
    for table in ("links", "events"):
        assert secret not in str(await api.rows.fetch(f"SELECT t::text FROM {table} t"))


async def test_a_link_that_is_unknown_over_or_removed_answers_alike(api: Api):
    ended, removed = [await made(api, min_interval_s=60) for _ in range(2)]
    await over(api, ended)
    await api.call("DELETE", f"/links/{removed['id']}", 204)
    answers = [await api.http.get(path) for path in ("/l/unknown", ended["path"], removed["path"])]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({(answer.text, str(answer.headers)) for answer in answers}) == 1
    assert PRIVATE.items() <= dict(answers[0].headers).items()


async def test_too_soon_says_when(api: Api):
    link = await made(api, min_interval_s=60)
    assert (await api.http.get(link["path"])).status_code == 200
    answer = await api.http.get(link["path"])
    assert answer.status_code == 429
    assert 55 <= int(answer.headers["retry-after"]) <= 60
    await api.rows.execute("UPDATE links SET used_at = used_at - interval '1 minute'")
    assert (await api.http.get(link["path"])).status_code == 200


async def test_whoever_only_looks_does_not_use_a_link_up(api: Api):
    link = await made(api, min_interval_s=60)
    assert (await api.http.head(link["path"])).status_code == 405
    assert (await api.http.get(link["path"])).status_code == 200


async def test_of_many_uses_at_once_of_two_masters_one_is_allowed(database: Address):
    async with master(database) as one, master(database) as other:
        link = (await one.http.post("/links", json={"kind": "list", "min_interval_s": 60})).json()
        async with asyncio.TaskGroup() as group:
            uses = [group.create_task(each.http.get(link["path"])) for each in (one, other) * 8]
        assert sorted(use.result().status_code for use in uses) == [200] + [429] * 15


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "nosuch"},
        {"filter": {"nosuch": 1}},
        {"filter": {"label": [5]}},
        {"template": "{nosuch}"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"min_interval_s": -1},
        {"kind": "rotate"},
        {"rotate": {"what": ["port"]}},
        {"kind": "rotate", "rotate": {"what": ["nosuch"]}},
    ],
)
async def test_an_impossible_link_is_refused(api: Api, wish: dict[str, Any]):
    await api.call("POST", "/links", 422, json={"kind": "list", **wish})


async def test_neither_logs_nor_metrics_have_a_secret(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    link = await made(api, expires_at="2999-01-01T00:00:00Z")
    await api.http.post(link["path"])
    await api.http.get(link["path"])

    async def bug(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(proxies, "matching", bug)
    assert (await api.http.get(link["path"])).status_code == 500
    told = capsys.readouterr()
    metrics = (await api.http.get("/metrics")).text
    assert 'route="/l/{secret}"' in metrics
    assert "/l/***" in told.out + told.err
    assert link["path"] not in told.out + told.err + metrics


async def test_links_are_told_of_in_the_log(api: Api):
    link = await made(api)
    await api.call("DELETE", f"/links/{link['id']}", 204)
    assert await api.event_types() == ["link.created", "link.deleted"]


async def test_a_link_that_rotates_begins_it_for_all_that_match_and_not_again_too_soon(api: Api):
    node = await api.node()
    ids = [(await api.proxy(node, labels={"tier": "gold"}))["id"] for _ in range(2)]
    await api.proxy(node)
    wish = {"filter": {"label": ["tier:gold"]}, "rotate": {"what": ["port"], "overlap_s": 5}, "min_interval_s": 60}
    link = await made(api, kind="rotate", **wish)
    begun = await api.call("GET", link["path"], 202)
    assert begun["matched"] == 2
    asked = await api.rows.fetch("SELECT proxy_id, overlap_s FROM rotations WHERE id = ANY ($1)", begun["rotation_ids"])
    assert sorted(map(tuple, asked)) == [(id_, 5) for id_ in ids]
    await api.call("GET", link["path"], 429)
    await api.call("DELETE", f"/links/{link['id']}", 204)


async def test_a_rotation_that_is_refused_was_no_use_of_the_link(api: Api):
    proxy = await api.proxy(await api.node(), enabled=False)
    link = await made(api, kind="rotate", rotate={"what": ["port"]}, min_interval_s=60)
    await api.call("GET", link["path"], 409)
    await api.call("PATCH", f"/proxies/{proxy['id']}", 200, json={"enabled": True})
    await api.call("GET", link["path"], 202)
