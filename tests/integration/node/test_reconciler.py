"""What an agent says of its proxies while it is at work on them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import Condition
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import LocalCopy, StoredProxy, on_list, on_records
from node.state.store import Store
from shared.messages.bodies import Header, SyncItem
from shared.proxies import ProxyId
from tests.clients.origins import HERE
from tests.clients.streams import LOCAL, free_port

PAST = (datetime.now(UTC) - timedelta(days=1)).isoformat()


class Thoughtful(BuiltinEngine):
    """Is long in answering which proxies serve nobody, when it is told to be."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.may_answer, self.is_asked = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def conditions(self) -> Mapping[ProxyId, Condition]:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().conditions()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Thoughtful]:
    async with Thoughtful(tmp_path / "engine", listen=HERE, allow_destinations=LOCAL, workers=1) as engine:
        yield engine
        await engine.halt()


def told(copy: LocalCopy, version: int, **fields: Any) -> None:
    """The one proxy is wanted in this version, and here it is."""
    header = Header(v=1, cluster="c", node=1, rev=version)
    copy.take(on_list(copy, header, [(1, version)]))
    record = {"id": 1, "version": version, "content": version, "protocol": "http", "username": "u", "password": "p"}
    item = SyncItem(id=1, version=version, content=version, raw=record | fields)
    copy.take(on_records(copy, header, [item]))


async def test_nothing_is_confirmed_before_it_is_known_whether_it_serves(engine: Thoughtful, tmp_path: Path):
    copy, port = Store(tmp_path / "copy.db").load(), free_port()
    changed = asyncio.Event()

    async def on_change(_: object) -> None:
        changed.set()

    reconciler = Reconciler(copy, {"builtin": engine}, on_change=on_change)
    told(copy, 1, port=port, limits={"expires_at": PAST})
    await reconciler.reconcile()
    assert [failure.kind for failure in reconciler.failures()] == ["expired"]
    engine.may_answer.clear()
    engine.is_asked.clear()
    told(copy, 2, port=port)
    reconciler.wake([1])
    async with asyncio.TaskGroup() as group:
        group.create_task(reconciler.reconcile())
        await engine.is_asked.wait()
        assert (reconciler.reached(1), reconciler.failures()) == (2, [])
        engine.may_answer.set()
    assert (reconciler.reached(1), reconciler.failures()) == (None, [])


async def test_proxies_that_are_found_running_are_a_change_too(engine: Thoughtful, tmp_path: Path):
    """An agent that was restarted has nothing to start, but more to show than before."""
    copy, port = Store(tmp_path / "copy.db").load(), free_port()
    counts: list[int] = []

    async def on_change(ran: list[StoredProxy]) -> None:
        copy.proxies.update({stored.id: replace(stored, good=stored.record) for stored in ran})
        counts.append(reconciler.running_count())

    told(copy, 1, port=port)
    reconciler = Reconciler(copy, {"builtin": engine}, on_change=on_change)
    await reconciler.reconcile()
    reconciler = Reconciler(copy, {"builtin": engine}, on_change=on_change)
    await reconciler.reconcile()
    reconciler.wake()
    await reconciler.reconcile()
    assert counts == [1, 1]
