"""Whatever a hostile node says in its messages harms nobody else, and is told."""

import json
from typing import Any

import pytest

from shared.proxies import MAX_BIGINT
from tests.master.node_bus import HONEST, REPORT, THIEF, Login, Master


def deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def report(**changes: Any) -> bytes:
    return json.dumps(REPORT | changes).encode()


def failure(**changes: Any) -> dict[str, Any]:
    return {"id": THIEF, "version": 1, "reason": "no", **changes}


UNREADABLE = {
    "no json": ("report", b"{"),
    "deep json": ("report", deep()),
    "deep ids": ("need-sync", deep()),
    "deep member": ("report", report()[:-1] + b', "x": ' + deep() + b"}"),
    "one byte too many": ("report", b" " * 1_048_577),
    "a negative count": ("report", report(count=-1)),
    "a revision past bigint": ("report", report(seen=MAX_BIGINT + 1)),
    "a huge number": ("report", report()[:-1] + b', "number": 1' + b"0" * 5000 + b"}"),
    "a thousand engines": ("report", report(agent="a", engines={f"e{i}": "1" for i in range(1000)})),
    "a NUL in an engine": ("report", report(agent="a", engines={"e\0": "1"})),
    "a NUL in an engine's version": ("report", report(agent="a", engines={"e": "\0"})),
    "a NUL in a wrong engine": ("report", report(agent="a", engines={"e\0": 5})),
    "an engine of a long name": ("report", report(agent="a", engines={"e" * 500_000: 5})),
    "a NUL in the agent": ("report", report(agent="a\0")),
    "a NUL in the foreign cluster": ("report", report(foreign="a\0")),
    "half a letter": ("report", b'{"agent": "\\ud800"}'),
    "a check-sync for the master that is none": ("need-sync", b'{"a": "b"}'),
}


@pytest.mark.parametrize("what", list(UNREADABLE))
async def test_what_nobody_can_act_on_is_parked_and_the_next_is_answered(
    master: Master, thief: Login, honest: Login, what: str
):
    type_, body = UNREADABLE[what]
    await thief.send(type_, body)
    assert (await master.told("message.parked"))["details"]["user"] == "node-1"
    await honest.round_trip()
    master.check()


REFUSED = {
    "the highest revision there is": {"seen": MAX_BIGINT},
    "a revision far ahead": {"seen": 2**53},
    "a list newer than what was seen": {"rev": MAX_BIGINT},
    "an agent from the far future": {"session": MAX_BIGINT},
}


@pytest.mark.parametrize("what", list(REFUSED))
async def test_absurd_figures_are_refused_and_its_next_report_is_taken(master: Master, thief: Login, what: str):
    before = await master.value("SELECT revision FROM nodes WHERE id = 1")
    await thief.send("report", REPORT | REFUSED[what])
    await master.told("message.refused")
    assert await master.value("SELECT revision FROM nodes WHERE id = 1") == before
    await thief.send("report", REPORT | {"session": 1})
    await master.told("node.online")


HARMLESS = {
    "the highest version there is": {"seen": 50, "top": MAX_BIGINT},
    "another content at the highest version": {"top": MAX_BIGINT, "same": True},
    "failures of others": {"failed": [failure(id=HONEST), failure(id=MAX_BIGINT)]},
    "one failure twice": {"failed": [failure(), failure(reason="other")]},
    "ports of others": {"failed": [failure(id=HONEST, port_taken=True), failure(id=999, port_taken=True)]},
    "letters that nothing prints": {"failed": [failure(reason="a\0\x1b[31m\r\n\u202e")]},
    "15,000 failures": {"failed": [failure(id=i) for i in range(1, 15_001)]},
    "failures in an empty range": {"failed": [failure()], "failed_from": MAX_BIGINT, "failed_to": 0},
    "the highest counts": {"count": MAX_BIGINT, "running": MAX_BIGINT, "missing": MAX_BIGINT},
    "a held list of everything": {"held": {"rev": MAX_BIGINT, "stops": MAX_BIGINT, "of": 0}},
    "the last number": {"number": MAX_BIGINT},
}


@pytest.mark.parametrize("what", list(HARMLESS))
async def test_lies_about_itself_change_nothing_of_others(master: Master, thief: Login, honest: Login, what: str):
    lie = dict(HARMLESS[what])
    if lie.pop("same", False):
        lie |= await same_list(master)
    await thief.send("report", REPORT | {"session": 1, "number": 1} | lie)
    await thief.round_trip()
    await honest.round_trip()
    others = "SELECT array[n.revision, p.version, (SELECT count(*) FROM proxy_failures WHERE proxy_id = 2)"
    assert await master.value(f"{others}] FROM nodes n JOIN proxies p ON p.id = n.id WHERE n.id = 2") == [2, 1, 0]
    assert await master.value("SELECT count(*) FROM taken_ports WHERE node_id = 2") == 0
    await changed(master)
    master.check()


async def same_list(master: Master) -> dict[str, Any]:
    async with master.rows.session() as session:
        row = await session.row("sync.desired_digest", node_id=THIEF)
    assert row
    return {"rev": row["revision"], "seen": row["revision"], "digest": f"{int(row['digest']) % 2**64:016x}"}


async def changed(master: Master) -> None:
    """A thousand changes of its proxy are still possible."""
    async with master.address.connection() as connection:
        await connection.execute("UPDATE proxies SET version = version + 1000 WHERE id = 1")
        await connection.execute("UPDATE nodes SET revision = revision + 1000 WHERE id = 1")


async def test_a_body_of_16_mebibytes_is_parked_in_part(master: Master, thief: Login, honest: Login):
    await thief.send("report", b" " * (16 * 1_048_576))
    await master.told("message.parked", "16777216 bytes")
    await honest.round_trip()
