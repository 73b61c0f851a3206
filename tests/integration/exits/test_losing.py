"""What an agent says of proxies whose exit does not work, comes and goes; what runs is never disturbed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import Engine
from node.engine.three_proxy.engine import ThreeProxyEngine
from node.network.address_changes import watch_addresses
from node.reconcile.reconciler import Reconciler
from node.state.local_copy import LocalCopy, StoredProxy, on_list, on_records
from shared.messages.bodies import Header, SyncItem
from shared.proxies import ProxyId
from tests.clients.streams import LOCAL, until
from tests.cluster.networks import ip
from tests.engines.exits import PREFIX, RANDOM, SESSION, asked, record, seen, telling
from tests.engines.three_proxy_binaries import binaries

ADDRESS, OTHER = "203.0.113.8", "203.0.113.9"
FIXED = {"mode": "address", "address": ADDRESS}


@dataclass
class Agent:
    """A supervisor of one engine with a local copy in memory."""

    name: str
    engine: Engine
    copy: LocalCopy = field(default_factory=LocalCopy)
    versions: dict[int, int] = field(default_factory=dict[int, int])
    reports: int = 0

    def __post_init__(self) -> None:
        self.supervisor = Reconciler(self.copy, {self.name: self.engine}, on_change=self._changed)

    async def _changed(self, ran: list[StoredProxy]) -> None:
        self.reports += 1
        self.copy.proxies.update({each.id: replace(each, good=each.record) for each in ran})

    def want(self, exit_: dict[str, Any], id_: int = 1, **changes: Any) -> Any:
        """The next version of this proxy."""
        rev = self.copy.rev + 1
        self.versions[id_] = rev
        wanted = record(exit_, id_, version=rev, content=rev, engine=self.name, **changes)
        header = Header(v=1, cluster="c", node=1, rev=rev)
        self.copy.take(on_list(self.copy, header, list(self.versions.items())))
        item = SyncItem(id=id_, version=rev, content=rev, raw=wanted.model_dump(mode="json"))
        self.copy.take(on_records(self.copy, header, [item]))
        self.supervisor.wake([id_])
        return wanted

    async def look(self) -> None:
        """One pass over everything, addresses included."""
        self.supervisor.addresses_changed()
        await self.supervisor.reconcile()

    @property
    def reasons(self) -> dict[int, str]:
        failures = self.supervisor.failures()
        assert {each.kind for each in failures} <= {"failed"}
        return {each.id: each.reason for each in failures}

    async def runs(self) -> dict[int, int]:
        return {int(id_): int(version) for id_, version in (await self.engine.running()).items()}


def builtin(directory: Path) -> Any:
    return BuiltinEngine(directory, listen="127.0.0.1", allow_destinations=LOCAL, workers=1)


def three_proxy(directory: Path) -> Any:
    if not binaries():
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    return ThreeProxyEngine(directory, binary=binaries()[0], listen="127.0.0.1", allow_destinations=LOCAL)


async def opened(make: Callable[[Path], Any], name: str, directory: Path) -> AsyncIterator[Agent]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(make(directory))
        stack.push_async_callback(engine.halt)
        yield Agent(name, engine)


@pytest.fixture(params=[(builtin, "builtin"), (three_proxy, "3proxy")], ids=["builtin", "3proxy"])
async def agent(request: pytest.FixtureRequest, routed: None, tmp_path: Path) -> AsyncIterator[Agent]:
    """Of each engine."""
    async for made in opened(*request.param, tmp_path / "engine"):
        yield made


@pytest.fixture
async def random_agent(routed: None, tmp_path: Path) -> AsyncIterator[Agent]:
    """Of the engine that has random exits."""
    async for made in opened(builtin, "builtin", tmp_path / "engine"):
        yield made


def add(address: str = ADDRESS) -> None:
    ip("address", "add", f"{address}/32", "dev", "lo")


def remove(address: str = ADDRESS) -> None:
    ip("address", "del", f"{address}/32", "dev", "lo")


async def test_a_proxy_never_counts_as_running_before_its_address_is_here(agent: Agent) -> None:
    agent.want(FIXED)
    await agent.look()
    assert ADDRESS in agent.reasons[1]
    assert f"ip address add {ADDRESS}" in agent.reasons[1]
    assert (agent.supervisor.running_count(), await agent.runs()) == (0, {})
    add()
    await agent.look()
    assert (agent.reasons, agent.supervisor.running_count(), await agent.runs()) == ({}, 1, {1: 1})


async def test_a_new_proxy_is_never_started_before_its_own_exit_is_tried(agent: Agent) -> None:
    await agent.look()
    agent.want(FIXED)
    await agent.supervisor.reconcile()
    assert ADDRESS in agent.reasons[1]
    assert await agent.runs() == {}


async def test_a_lost_address_fails_its_proxies_without_touching_them_and_they_run_when_it_is_back(
    agent: Agent,
) -> None:
    add()
    lost, other = agent.want(FIXED, 1), agent.want({"mode": "default"}, 2)
    await agent.look()
    assert agent.reasons == {}
    before = await agent.runs()
    async with telling() as port, asked(lost, "127.0.0.1", port) as source:
        assert source == ADDRESS
        remove()
        await agent.look()
        assert list(agent.reasons) == [1]
        assert (agent.supervisor.running_count(), await agent.runs()) == (1, before)
        assert (await seen(lost, port, host="127.0.0.1")).startswith("code ")
        assert await seen(other, port, host="127.0.0.1") == "127.0.0.1"
        add()
        await agent.look()
        assert (agent.reasons, await agent.runs()) == ({}, before)
        assert await seen(lost, port, host="127.0.0.1") == ADDRESS


async def test_each_change_of_state_is_one_report_and_none_while_nothing_changes(agent: Agent) -> None:
    add()
    agent.want(FIXED)
    await agent.look()
    for change in (remove, add):
        before = agent.reports
        change()
        await agent.look()
        assert agent.reports == before + 1
        await agent.look()
        assert agent.reports == before + 1


async def test_a_change_to_an_exit_that_does_not_work_fails_and_leaves_what_runs(agent: Agent) -> None:
    add()
    proxy = agent.want(FIXED)
    await agent.look()
    agent.want({"mode": "address", "address": OTHER})
    await agent.look()
    assert OTHER in agent.reasons[1]
    assert await agent.runs() == {1: 1}
    async with telling() as port:
        assert await seen(proxy, port, host="127.0.0.1") == ADDRESS


async def test_a_lost_exit_does_not_hold_up_a_change_of_the_login(agent: Agent) -> None:
    add()
    agent.want(FIXED)
    await agent.look()
    remove()
    await agent.look()
    agent.want(FIXED, password="changed")
    await agent.look()
    assert ADDRESS in agent.reasons[1]
    assert await agent.runs() == {1: 2}


async def test_an_agent_that_finds_proxies_with_a_lost_exit_never_calls_them_running(agent: Agent) -> None:
    add()
    agent.want(FIXED)
    await agent.look()
    remove()
    successor = Agent(agent.name, agent.engine, agent.copy, agent.versions)
    await successor.supervisor.reconcile()
    assert (list(successor.reasons), successor.supervisor.running_count()) == ([1], 0)


@pytest.mark.parametrize("exit_", [RANDOM, SESSION], ids=["random", "session"])
async def test_a_prefix_whose_route_goes_fails_and_runs_again_when_it_is_back(
    random_agent: Agent, exit_: dict[str, Any]
) -> None:
    agent = random_agent
    agent.want(exit_)
    await agent.look()
    assert agent.reasons == {}
    ip("-6", "route", "del", "local", PREFIX, "dev", "lo")
    await agent.look()
    assert f"ip -6 route add local {PREFIX} dev lo" in agent.reasons[1]
    assert await agent.runs() == {1: 1}
    ip("-6", "route", "add", "local", PREFIX, "dev", "lo")
    await agent.look()
    assert agent.reasons == {}


async def test_a_removed_proxy_ends_although_its_exit_is_lost(agent: Agent) -> None:
    add()
    agent.want(FIXED)
    await agent.look()
    remove()
    await agent.look()
    agent.copy.take(on_list(agent.copy, Header(v=1, cluster="c", node=1, rev=9), []))
    await agent.look()
    assert (await agent.runs(), agent.reasons) == ({}, {})


async def test_the_kernels_notice_changes_the_state_within_moments(agent: Agent) -> None:
    add()
    agent.want(FIXED)

    async def is_failed() -> bool:
        return bool(agent.supervisor.failures())

    async def is_well() -> bool:
        return agent.supervisor.running_count() == 1 and not agent.supervisor.failures()

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(agent.supervisor.run()),
            group.create_task(watch_addresses(agent.supervisor.addresses_changed)),
        ]
        await until(is_well)
        remove()
        await until(is_failed)
        add()
        await until(is_well)
        for task in tasks:
            task.cancel()


async def test_a_lost_listen_address_fails_every_proxy_of_the_node(routed: None, tmp_path: Path) -> None:
    add()
    async with BuiltinEngine(tmp_path / "engine", listen=ADDRESS, workers=1) as engine:
        agent = Agent("builtin", engine)
        agent.supervisor = Reconciler(agent.copy, {"builtin": engine}, on_change=agent._changed, listen=ADDRESS)
        for id_ in (1, 2):
            agent.want({"mode": "default"}, id_)
        await agent.look()
        assert agent.reasons == {}
        remove()
        await agent.look()
        assert {id_: "NODE_LISTEN" in reason for id_, reason in agent.reasons.items()} == {1: True, 2: True}
        add()
        await agent.look()
        assert agent.reasons == {}
        await engine.stop(ProxyId(1))
        await engine.halt()
