"""Checks of proxies, one or many, whose last results are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from master.domain.checks import probe, service
from tests.clients.streams import HERE, free_port, head_of, serving
from tests.integration.conftest import Api

LIMIT_S = 0.5
TARGET = {"target": "http://192.0.2.1/ip"}


@dataclass
class Proxies:
    """HTTP proxies on this host: one that works, and one that accepts and says nothing."""

    good: int
    slow: int
    serving: int = 0
    most: int = 0
    """The most clients that the working one served at once."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving += 1
        self.most = max(self.most, self.serving)
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await head_of(reader)
        await asyncio.sleep(0)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"ip": "203.0.113.7"}')
        self.serving -= 1


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.fixture
async def proxies() -> AsyncIterator[Proxies]:
    proxies = Proxies(0, 0)
    async with AsyncExitStack() as stack:
        proxies.good = await stack.enter_async_context(serving(proxies.answer))
        proxies.slow = await stack.enter_async_context(serving(silence))
        yield proxies


async def at(api: Api, *ports: int) -> list[int]:
    """Ids of proxies at these ports of this host, each with a node of its own."""
    found = list[int]()
    for port in ports:
        node = await api.node(ip=HERE)
        found.append(
            await api.rows.fetchval(
                "INSERT INTO proxies (node_id, port, protocol, username, password) VALUES ($1, $2, 'http', 'u', 'p')"
                " RETURNING id",
                node,
                port,
            )
        )
    return found


async def last(api: Api, id_: int) -> dict[str, Any] | None:
    return (await api.call("GET", f"/proxies/{id_}", 200))["last_check"]


async def test_the_last_check_of_a_proxy_is_kept(api: Api, proxies: Proxies):
    [id_] = await at(api, proxies.good)
    assert await last(api, id_) is None
    found = await api.call("POST", f"/proxies/{id_}/check", 200, json=TARGET)
    assert (found["ok"], found["exit_ip"], found["step"]) == (True, "203.0.113.7", None)
    assert await last(api, id_) == found
    assert (await api.call("GET", f"/proxies/{id_}", 200))["version"] == 1
    await api.call("POST", "/proxies/999/check", 404, json=TARGET)


async def test_a_slow_proxy_holds_up_no_other_and_has_its_time(
    api: Api, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(probe, "PROBE_S", LIMIT_S)
    monkeypatch.setattr(service, "AT_ONCE", 2)
    ids = await at(api, proxies.slow, *[proxies.good] * 5, free_port())
    answer = await api.call("POST", "/proxies/check?all=true&expect=7", 200, json=TARGET)
    assert (answer["ok"], answer["failed"], proxies.most) == (5, 2, 1)
    assert [(item["proxy_id"], item["check"]["step"]) for item in answer["items"]] == list(
        zip(ids, ["destination", *[None] * 5, "connect"], strict=True)
    )
    assert [await last(api, id_) for id_ in ids] == [item["check"] for item in answer["items"]]


async def test_only_as_many_as_expected_are_checked_and_no_more_than_five_hundred(api: Api, proxies: Proxies):
    await at(api, proxies.good, proxies.good)
    problem = await api.call("POST", "/proxies/check?protocol=http&expect=1", 409, json=TARGET)
    assert (problem["expected"], problem["matched"]) == (1, 2)
    await api.call("POST", "/proxies/check?protocol=http&expect=501", 422, json=TARGET)
    await api.call("POST", "/proxies/check?expect=2", 422, json=TARGET)
    assert await api.call("POST", "/proxies/check?protocol=socks5&expect=0", 200, json=TARGET) == {
        "ok": 0,
        "failed": 0,
        "items": [],
    }
