"""Exports: all that match, in every form, whole or visibly cut."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from master.domain.proxies import service as proxies
from master.domain.proxies.export import routes as export_routes
from master.errors import DatabaseAway
from tests.integration.conftest import Api
from tests.master.api_servers import master
from tests.services.postgres import Database as Address

MANY = 5_000
FILL = (
    "INSERT INTO proxies (node_id, port, protocol, username, password)"
    " SELECT $1, 20000 + n, 'mixed', 'user' || n, 'pass' || n FROM generate_series(1, $2::int) AS n"
)


async def text(api: Api, query: str = "") -> httpx.Response:
    answer = await api.http.get(f"/proxies/export{query}")
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("plain", "text/plain; charset=utf-8"), ("csv", "text/csv; charset=utf-8"), ("json", "application/json")],
)
async def test_an_export_is_of_a_media_type_that_the_document_tells(api: Api, form: str, media_type: str):
    answer = await text(api, f"?format={form}")
    assert answer.headers["content-type"] == media_type
    document = await api.call("GET", "/api-json", 200)
    for path in ("/proxies/export", "/l/{secret}"):
        assert media_type.partition(";")[0] in document["paths"][path]["get"]["responses"]["200"]["content"]


async def test_every_line_of_a_long_list_is_there_once_and_right(api: Api):
    node = await api.node(ip="10.0.0.7")
    await api.rows.execute(FILL, node, MANY)
    answer = await text(api)
    assert answer.text.splitlines() == [f"10.0.0.7:{20000 + n}:user{n}:pass{n}" for n in range(1, MANY + 1)]
    assert answer.headers["content-disposition"] == 'attachment; filename="proxies.txt"'
    assert answer.headers["cache-control"] == "no-store"
    assert len(json.loads((await text(api, "?format=json")).text)) == MANY


async def test_a_program_asks_for_csv_as_it_is_and_a_person_gets_it_defused(api: Api):
    proxy = await api.proxy(await api.node(), username="=cmd", password="@x", name="-n")
    link = await api.call("POST", "/links", 201, json={"kind": "list", "format": "csv"})
    for path in ("/proxies/export?format=csv&", f"{link['path']}?"):
        for query, mark in (("", "'"), ("raw=false", "'"), ("raw=true", "")):
            [found] = csv.DictReader(io.StringIO((await api.http.get(path + query)).text, newline=""))
            assert (found["username"], found["password"], found["name"]) == (f"{mark}=cmd", f"{mark}@x", f"{mark}-n")
            assert found["port"] == str(proxy["port"])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
async def test_portions_meet_without_a_seam(api: Api, monkeypatch: pytest.MonkeyPatch, count: int):
    monkeypatch.setattr(export_routes, "PAGE", 2)
    node = await api.node()
    await api.rows.execute(FILL, node, count)
    ports = [20000 + n for n in range(1, count + 1)]
    assert [one["port"] for one in json.loads((await text(api, "?format=json")).text)] == ports
    table = list(csv.DictReader(io.StringIO((await text(api, "?format=csv")).text, newline="")))
    assert [int(one["port"]) for one in table] == ports


async def test_only_what_the_filter_matches_is_exported(api: Api):
    node = await api.node()
    for tier, port in (("gold", 20001), ("tin", 20002)):
        await api.proxy(node, port=port, labels={"tier": tier})
    assert (await text(api, "?label=tier:gold&template={port}")).text == "20001\n"


@pytest.mark.parametrize(
    "query", ["template={nosuch}", "template={", "format=xml", "format=csv&template={port}", "limit=5", "raw=x"]
)
async def test_what_cannot_be_written_is_refused_before_anything_is(api: Api, query: str):
    await api.call("GET", f"/proxies/export?{query}", 422)


async def test_a_list_that_cannot_be_ended_is_cut_so_that_its_reader_sees_it(
    database: Address, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(export_routes, "PAGE", 2)
    whole = proxies.matching

    async def failing(*given: Any, after: int = 0, **more: Any) -> Any:
        if after:
            raise DatabaseAway("gone")
        return await whole(*given, after=after, **more)

    monkeypatch.setattr(proxies, "matching", failing)
    async with master(database) as one, database.connection() as rows:
        await rows.execute(
            "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ('n', '10.0.0.7', 'c', 'b')"
        )
        await rows.execute(FILL, 1, 5)
        with pytest.raises(httpx.RemoteProtocolError):
            await one.http.get("/proxies/export")
