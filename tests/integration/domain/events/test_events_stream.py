"""/events as a stream: each event once, in order, whatever is cut, and however many read."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import pytest

from master.db.database import Database
from master.domain.events import log
from master.domain.events.log import NewEvent, record_events
from tests.master.api_servers import Events, Master, master, opened
from tests.services.postgres import Database as Address


async def happen(rows: Database, count: int = 1, **more: int) -> None:
    """So many events in one transaction."""
    async with rows.transaction() as session:
        await record_events(session, [NewEvent(type="node.updated", **more) for _ in range(count)])


async def ids(rows: Database) -> list[int]:
    async with rows.session() as session:
        return [event.id for event in await log.events_after(session, 0, 100_000)]


async def test_a_stream_tells_what_happens_from_then_on(database: Address):
    async with master(database) as one:
        await happen(one.rows, 3)
        async with one.stream() as stream:
            await happen(one.rows, node_id=7)
            type_, event = await stream.next()
    assert (type_, event["id"], event["node_id"], event["type"]) == ("node.updated", 4, 7, "node.updated")


@pytest.mark.parametrize("kept", [4_000, 1])
async def test_a_stream_goes_on_after_the_last_event_that_its_reader_had(database: Address, kept: int):
    async with master(database, kept=kept) as one:
        await happen(one.rows, 1_200)
        async with one.stream("after=5", last=10) as stream:
            assert await stream.ids(1_190) == list(range(11, 1_201))
            await happen(one.rows, 2)
            assert await stream.ids(2) == [1_201, 1_202]


async def test_a_stream_is_filtered_as_pages_are(database: Address):
    async with master(database) as one:
        await happen(one.rows, 2, node_id=1)
        await happen(one.rows, 2, node_id=2)
        for query in ("node_id=2&type=node.*", "node_id=2", "type=proxy.created&type=node.updated&node_id=2"):
            async with one.stream(f"after=0&{query}") as stream:
                assert await stream.ids(2) == [3, 4]
            assert len((await one.http.get(f"/events?{query}")).json()["items"]) == 2


async def test_a_sign_of_life_moves_the_readers_place_on(database: Address):
    async with master(database, heartbeat_s=0.2) as one, one.stream("type=proxy.created") as stream:
        await happen(one.rows, 5)
        async with asyncio.timeout(10):
            async for line in stream.lines:
                if line == "id: 5":
                    break


async def test_a_reader_is_told_that_what_he_missed_is_forgotten(database: Address):
    async with master(database) as one:
        await happen(one.rows, 4)
        async with database.connection() as rows, one.rows.session() as session:
            await rows.execute("UPDATE events SET at = now() - interval '31 days' WHERE id < 4")
            await log.forget(session, timedelta(days=30))
        async with one.stream(last=1) as stream:
            assert await stream.next() == ("reset", {"reason": "forgotten", "after": 3})
            assert await stream.ids(1) == [4]
        pages = [(await one.http.get(f"/events?after={after}")).json() for after in (0, 1, 3, 4, 5)]
        assert [page["reset"] for page in pages] == [None, "forgotten", None, None, "ahead"]
        async with one.stream(last=3) as stream:
            assert await stream.ids(1) == [4]


async def test_a_reader_is_told_that_the_database_went_back(database: Address):
    async with master(database) as one:
        await happen(one.rows, 2)
        async with one.stream(last=9) as stream:
            assert await stream.next() == ("reset", {"reason": "ahead", "after": 2})


async def test_a_stream_ends_when_the_master_does(database: Address):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(master(database))
        stream = await stack.enter_async_context(one.stream())
        one.feed.close()
        with pytest.raises(EOFError):
            await stream.next()


async def test_asking_for_the_head_of_a_stream_ends(database: Address):
    async with master(database) as one:
        answer = await one.http.head("/events", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_last_event_id_that_is_none_is_refused(database: Address):
    async with master(database) as one:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "x"}
        assert (await one.http.get("/events", headers=headers)).status_code == 422


@pytest.mark.parametrize(
    ("count", "cuts"), [(1_000, 20), pytest.param(10_000, 100, marks=pytest.mark.long)], ids=["some", "many"]
)
async def test_a_reader_who_is_cut_again_and_again_has_each_event_once_in_order(
    database: Address, count: int, cuts: int
):
    rows = opened(database)
    async with master(database) as one, master(database, kept=50) as two, asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(burst(rows, count // 4))
        seen = await read([one, two], count, cuts)
    assert seen == await ids(rows)
    assert len(seen) == count
    await rows.close()


async def burst(rows: Database, count: int) -> None:
    """So many events one by one, some in transactions that take their time or are rolled back."""
    for number in range(count):
        if number % 10 == 0:
            with suppress(ZeroDivisionError):
                await undone(rows)
        await happen(rows)
        await asyncio.sleep(random.uniform(0, 0.004))


async def undone(rows: Database) -> None:
    """Takes an id of the log, and gives it up."""
    async with rows.transaction() as session:
        await record_events(session, [NewEvent(type="node.updated")])
        raise ZeroDivisionError


async def read(masters: list[Master], count: int, cuts: int) -> list[int]:
    """Ids as a client gets them that is cut at random, each time to go on at another master."""
    seen: list[int] = []
    last = 0
    limits = [*sorted(random.sample(range(1, count), cuts)), count]
    for number, limit in enumerate(limits):
        async with masters[number % 2].stream("after=0", last=last) as stream:
            seen += await stream.ids(limit - len(seen))
            last = stream.last or last
    return seen


async def test_a_reader_keeps_his_stream_and_misses_nothing_when_the_databases_connections_are_cut(database: Address):
    async with master(database) as one, one.stream() as stream, database.connection() as rows:
        await happen(one.rows)
        assert await stream.ids(1) == [1]
        for number in (2, 3):
            await rows.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await rows.execute("INSERT INTO events (type, actor) VALUES ('node.updated', 'master')")
            assert await stream.ids(1) == [number]


async def test_a_reader_who_does_not_read_hurts_nobody_and_gets_everything_later(database: Address):
    count, at_once = 20_000, 1_000
    async with master(database, kept=100) as one, one.stream("after=0") as quick, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(stalled(one))
        for first in range(1, count, at_once):
            await happen(one.rows, at_once)
            assert await quick.ids(at_once) == list(range(first, first + at_once))
        assert len(one.feed._recent) < at_once
        assert await slow.ids(count) == list(range(1, count + 1))


@asynccontextmanager
async def stalled(one: Master) -> AsyncGenerator[Events]:
    """A stream from the beginning, of which nothing is read as yet."""
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        own.setblocking(False)
        url = one.http.base_url
        await asyncio.get_running_loop().sock_connect(own, (url.host, url.port))
        reader, writer = await asyncio.open_connection(sock=own, limit=4_096)
        writer.write(b"GET /events?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        yield Events(lines_of(reader))
        writer.transport.abort()


async def lines_of(reader: asyncio.StreamReader) -> AsyncGenerator[str]:
    """Of a chunked body, whose lengths are lines that say nothing to a reader of events."""
    text = b""
    await reader.readuntil(b"\r\n\r\n")
    while True:
        size = int(await reader.readline(), 16)
        text += await reader.readexactly(size)
        await reader.readexactly(2)
        *whole, text = text.split(b"\n")
        for line in whole:
            yield line.decode()


@pytest.mark.parametrize("readers", [100, pytest.param(1_000, marks=pytest.mark.long)])
async def test_a_change_costs_one_notification_and_one_query_however_many_read(database: Address, readers: int):
    heard: list[object] = []
    async with master(database) as one, AsyncExitStack() as stack, database.connection() as connection:
        streams = [await stack.enter_async_context(one.stream()) for _ in range(readers)]
        await happen(one.rows)
        assert {(await stream.ids(1))[0] for stream in streams} == {1}
        await connection.add_listener("maybe_events", lambda *said: heard.append(said))
        one.rows.asked.clear()
        began = time.monotonic()
        await happen(one.rows, 3)
        assert {(await stream.ids(3))[-1] for stream in streams} == {4}
        asked = list(one.rows.asked)
        print(f"{readers} readers had it after {(time.monotonic() - began) * 1000:.0f} ms")
        await connection.execute("SELECT 1")
    assert (asked, len(heard)) == (["events.follow"], 1)
