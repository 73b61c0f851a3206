"""A hostile node reads, writes and changes nothing at the broker but its own."""

import asyncio
import json

import aio_pika
import pytest
from aiormq.exceptions import AMQPError, PublishError

from shared.proxies import MAX_BIGINT
from tests.master.node_bus import HONEST, THIEF, Login, Master


async def test_asking_for_anothers_proxies_gets_nothing_of_them(master: Master, thief: Login):
    await thief.send("need-sync", [HONEST, 1, 999, MAX_BIGINT, *range(3, 4000)])
    async with asyncio.timeout(10):
        await thief.came.wait()
    await thief.round_trip()
    records = [record for type_, body in thief.got if type_ == "sync" for record in json.loads(body)]
    assert {record["id"] for record in records} == {THIEF}
    assert b"secret-of-2" not in b"".join(body for _, body in thief.got)


async def taken(login: Login, queue: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).get(fail=False)


async def emptied(login: Login, queue: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).purge()


async def bound(login: Login, queue: str, exchange: str) -> None:
    await (await login.channel.get_queue(queue, ensure=False)).bind(exchange, "#")


async def written(login: Login, exchange: str, key: str) -> None:
    message = aio_pika.Message(b"[]", user_id=f"node-{login.node}", type="sync")
    target = await login.channel.get_exchange(exchange, ensure=False) if exchange else login.channel.default_exchange
    await target.publish(message, key)


FORBIDDEN = {
    "reading another's queue": lambda login: taken(login, "mp.node.2"),
    "declaring a queue": lambda login: login.channel.declare_queue("mine"),
    "declaring an exchange": lambda login: login.channel.declare_exchange("mine"),
    "deleting its own queue": lambda login: login.channel.queue_delete("mp.node.1"),
    "deleting the master's exchange": lambda login: login.channel.exchange_delete("mp.master"),
    "emptying the master's queue": lambda login: emptied(login, "mp.master"),
    "emptying another's queue": lambda login: emptied(login, "mp.node.2"),
    "binding its queue to the master's exchange": lambda login: bound(login, "mp.node.1", "mp.master"),
    "binding its queue to the nodes' exchange": lambda login: bound(login, "mp.node.1", "mp.node"),
    "writing to the nodes' exchange": lambda login: written(login, "mp.node", "2"),
    "writing to a queue by the default exchange": lambda login: written(login, "", "mp.node.2"),
    "writing under another's key": lambda login: login.send("report", b"{}", key="node-2.report"),
    "writing under a key that begins like its own": lambda login: login.send("report", b"{}", key="node-12.report"),
    "writing in another's name": lambda login: login.send("report", b"{}", user_id="node-2"),
    "reading the master's queue": lambda login: taken(login, "mp.master"),
}


@pytest.mark.parametrize("what", list(FORBIDDEN))
async def test_the_broker_refuses_a_nodes_login_everything_but_its_own(master: Master, what: str):
    login = await master.login(THIEF)
    try:
        with pytest.raises((AMQPError, PublishError), match=r"ACCESS_REFUSED|PRECONDITION_FAILED"):
            await FORBIDDEN[what](login)
    finally:
        await login.connection.close()
