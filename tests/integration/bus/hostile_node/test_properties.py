"""Whatever a hostile node writes onto its messages harms nobody else, and is told."""

import asyncio
from typing import Any

import pytest

from shared.messages.bodies import Header
from shared.proxies import MAX_BIGINT
from tests.master.node_bus import CLUSTER, HONEST, REPORT, Login, Master

HEADERS: dict[str, Any] = {
    "none": None,
    "a node that is a word": {"v": 1, "cluster": CLUSTER, "node": "one", "rev": 1},
    "a table for a node": {"v": 1, "cluster": CLUSTER, "node": {"a": 1}, "rev": 1},
    "bytes for a cluster": {"v": 1, "cluster": bytearray(b"\xff\xfe"), "node": 1, "rev": 1},
    "a NUL in the cluster": {"v": 1, "cluster": "a\0", "node": 1, "rev": 1},
    "another version": {"v": 2, "cluster": CLUSTER, "node": 1, "rev": 1},
    "nobody": {"v": 1, "cluster": CLUSTER, "node": MAX_BIGINT, "rev": 1},
}


@pytest.mark.parametrize("what", list(HEADERS))
async def test_wrong_headers_are_told_and_harm_nothing(master: Master, thief: Login, honest: Login, what: str):
    await thief.send("report", REPORT, headers=HEADERS[what])
    await said(master)
    await honest.round_trip()
    master.check()


async def said(master: Master) -> None:
    """Until an event tells of it."""
    async with asyncio.timeout(10):
        while not {"message.parked", "message.refused"} & {event["type"] for event in await master.events()}:
            master.check()
            await asyncio.sleep(0.05)


async def test_a_routing_key_of_odd_letters_is_refused(master: Master, thief: Login, honest: Login):
    await thief.send("report", REPORT, key="node-1.\0\x1b\u202e")
    await master.told("message.refused")
    await honest.round_trip()


async def test_a_message_without_a_sender_is_refused(master: Master, thief: Login):
    await thief.send("report", REPORT, user_id=None)
    assert "user_id" in (await master.told("message.refused"))["details"]["reason"]


async def test_a_report_for_another_node_is_refused(master: Master, thief: Login):
    headers = Header(v=1, cluster=CLUSTER, node=HONEST, rev=1).model_dump(exclude_defaults=True)
    await thief.send("report", REPORT, headers=headers)
    assert "node 2" in (await master.told("message.refused"))["details"]["reason"]
    assert not await master.value("SELECT online FROM node_status WHERE node_id = 2")


@pytest.mark.parametrize("type_", ["check-sync", "sync"])
async def test_what_only_a_master_says_is_refused_of_a_node(master: Master, thief: Login, type_: str):
    await thief.send(type_, [])
    await master.told("message.refused")


class Raw(str):
    """Text whose bytes on the wire are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        return self.encoded

    encoded = b"node-1.\xff\xfe"


def nested() -> dict[str, Any]:
    """Deeper than the driver's decoder goes, which recurses."""
    table: dict[str, Any] = {}
    for _ in range(400):
        table = {"a": table}
    return table


UNDECODABLE: dict[str, dict[str, Any]] = {
    "type": {"type": Raw("odd")},
    "name of a header": {"headers": {Raw("odd"): 1}},
    "tables in tables": {"headers": nested()},
    "routing key": {"key": Raw("odd")},
}


@pytest.mark.parametrize("what", list(UNDECODABLE))
async def test_properties_that_are_no_text_cut_nobody_off(master: Master, thief: Login, honest: Login, what: str):
    await thief.send("report", REPORT, **UNDECODABLE[what])
    await said(master)
    await honest.round_trip()
