"""A cluster of real processes: masters, nodes and their services, and the operations on them."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from master.tls import trusted
from tests.cluster.faults import Faults
from tests.cluster.networks import Disk, Network
from tests.launch.registry import ROOT
from tests.services.folders import Folder
from tests.services.ports import API, ENROLMENT, HOST, PortBlock, claim_block
from tests.services.postgres import Database, PostgreSQL
from tests.services.programs import Process, Program, ProgramError, tail
from tests.services.rabbitmq import RabbitMQ, Vhost
from tests.services.sources import Where

READY_S = 120.0
ENROLLED_S = 120.0
"""Generous limits: a program that ends is noticed at once, and a busy machine may be slow."""
PASSED = ("PATH", "LANG", "HOME", "TMPDIR", "VIRTUAL_ENV", "LOG_LEVEL", "THREE_PROXY", "NODE_WORKERS", "LICENSE_KEY")
"""Variables of the launcher's environment that our programs get; its proxy settings are not among them."""


@dataclass
class Node:
    """A node's agent, its data, its ports and its address. `id` is known once it is enrolled."""

    agent: Process
    data: Path
    enrol_port: int
    ports: PortBlock
    id: int | None = None
    host: str = HOST
    back: bool = False
    """Whether it was enrolled in an earlier run."""
    launched_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def challenge_file(self) -> Path:
        return self.data / "challenge.json"


@dataclass
class Cluster(Faults):
    """Programs by name: "postgres", "rabbitmq", "master", "master-2", "node-1", "node-2" ...

    The caller starts and ends the services.
    """

    folder: Folder
    ports: PortBlock
    postgres: PostgreSQL
    rabbitmq: RabbitMQ
    database: Database
    vhost: Vhost
    api_port: int
    masters: dict[str, Process] = field(default_factory=dict[str, Process])
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict[str, httpx.AsyncClient])
    networks: dict[str, Network] = field(default_factory=dict[str, Network])
    disks: dict[str, Disk] = field(default_factory=dict[str, Disk])
    master_settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further settings of the masters."""
    code: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Where the code of "master" and "node" is, when it is not this checkout's."""

    @property
    def api(self) -> httpx.AsyncClient:
        """A client of the first master's API."""
        return self.clients["master"]

    @property
    def programs(self) -> dict[str, Program]:
        agents = {name: node.agent for name, node in self.nodes.items()}
        return {"postgres": self.postgres.program, "rabbitmq": self.rabbitmq.program, **self.masters, **agents}

    async def master(self, host: str = HOST) -> httpx.AsyncClient:
        """Start one more master and wait until its API is ready; return a client of it.

        `host` may be any loopback address: such a master has the ports of the first one.
        """
        count = len(self.masters)
        name = f"master-{count + 1}" if count else "master"
        port = self.api_port if not count or host != HOST else self.ports.port(API + count)
        environment = {
            **self.database.environment,
            **self.vhost.environment,
            "API_HOST": host,
            "LINKS_HOST": host,
            "API_PORT": str(port),
            "ENROL_PORTS": self.ports.range,
            **self.master_settings,
        }
        self.masters[name] = self._program(name, "master", environment)
        self.clients[name] = httpx.AsyncClient(
            base_url=f"http://{host}:{port}", timeout=30, verify=trusted(), trust_env=False
        )
        await self.start(name)
        return self.clients[name]

    async def node(self, **members: Any) -> Node:
        """Start one more node and enrol it; `members` go into the body of POST /nodes: name, location_id, labels."""
        node = await self.launch()
        await self.enrol(node, **members)
        return node

    async def launch(
        self,
        *,
        number: int | None = None,
        ports: PortBlock | None = None,
        id_: int | None = None,
        host: str = HOST,
        program: Path | None = None,
    ) -> Node:
        """Start one more agent. `id_` is that of a node which an earlier run enrolled under the same number.

        `host` may be any loopback address, which gives the node all ports of its own. `program` is an installed
        `maybe-node`, which gets nothing of this environment and finds no other program.
        """
        number = number or self.free_number()
        data = self.folder.private(f"node-{number}")
        enrol_port = self.ports.port(ENROLMENT + number)
        environment = {
            "NODE_DATA_DIR": str(data),
            "NODE_ENROL_HOST": host,
            "NODE_ENROL_PORT": str(enrol_port),
            "NODE_LISTEN": host,
            "NODE_ALLOW_DESTINATIONS": HOST,
            "NODE_CHALLENGE_FILE": str(data / "challenge.json"),
        }
        agent = self._program(f"node-{number}", "node", environment)
        if program is not None:
            path = {"PATH": "/nonexistent", "MAYBE_NODE_PYTHON": sys.executable}
            agent = Process(agent.name, [str(program)], agent.log, path | environment, whole=False)
        node = Node(agent, data, enrol_port, ports or claim_block(), id_, host, back=id_ is not None)
        self.nodes[agent.name] = node
        await agent.start()
        return node

    def free_number(self) -> int:
        """Return the lowest number that no node of this folder, present or past, has had."""
        number = len(self.nodes) + 1
        while f"node-{number}" in self.nodes or (self.folder.path / f"node-{number}").exists():
            number += 1
        return number

    async def enrol(self, node: Node, **members: Any) -> None:
        """Enrol the node by its challenge and wait for its first report. Raises ProgramError."""
        body = {**await self.challenge(node), **members}
        answer = succeeded(await self.api.post("/nodes", json=body))
        node.id = answer.json()["id"]
        ports = {"limits": {"ports": node.ports.range}}
        succeeded(await self.api.patch(f"/nodes/{node.id}", json=ports))
        await self.online(node)

    async def challenge(self, node: Node) -> dict[str, Any]:
        """Wait for the node's challenge; return ip, port and challenge. Raises ProgramError."""
        written = await until(lambda: challenge_of(node), f"{node.agent.name} to wait for enrolment", node.agent)
        return {"ip": node.host, "port": written["port"], "challenge": written["challenge"]}

    async def online(self, node: Node, limit_s: float = ENROLLED_S) -> None:
        """Wait until the master has a report of the node since its launch. Raises ProgramError."""

        async def is_online() -> bool:
            status = succeeded(await self.api.get(f"/nodes/{node.id}")).json()["status"]
            return status["state"] == "online" and datetime.fromisoformat(status["reported_at"]) > node.launched_at

        await until(is_online, f"{node.agent.name} to be online", node.agent, limit_s=limit_s)

    async def start(self, who: str) -> None:
        """Start a program again with the same data and addresses, and wait until it is usable."""
        if who in self.masters:
            await self.masters[who].start()
            await until(lambda: self._is_ready(who), f"{who} to be ready", self.masters[who], limit_s=READY_S)
        else:
            await self._steered(who).start()

    async def stop(self, who: str) -> None:
        """Stop a program with SIGTERM, as an operator would. A node's proxies keep running."""
        await self._steered(who).stop()

    async def kill(self, who: str) -> None:
        """Send SIGKILL: to all processes of a service, but only to the agent of a node."""
        await self._steered(who).kill()

    async def freeze(self, who: str) -> None:
        """Send SIGSTOP to the same processes as `kill`."""
        await self._steered(who).freeze()

    async def thaw(self, who: str) -> None:
        """Send SIGCONT to the same processes as `kill`."""
        await self._steered(who).thaw()

    async def end(self, node: Node) -> None:
        """End a node for good. Raises ProgramError."""
        if node.agent.name in self.networks or node.agent.name in self.disks:
            await self.halt(node.agent.name)
        else:
            await node.agent.stop()
            await end_proxies(node.agent)
        node.ports.close()

    async def halt(self, who: str) -> None:
        """End the agent and then its proxies, so that nothing of the node runs any more. Raises ProgramError."""
        node = self.nodes[who]
        await node.agent.stop()
        command = [*node.agent.command[:-3], sys.executable, "-m", "node", "stop"]
        ending = Process(node.agent.name, command, node.agent.log, node.agent.environment)
        await ending.start()
        await until(lambda: not ending.is_running, f"the proxies of {node.agent.name} to end", ending, must_run=False)

    async def close(self) -> None:
        """End every node with its proxies, and every master. Raises ExceptionGroup of ProgramError."""
        failures: list[ProgramError] = []

        async def careful(ending: Coroutine[Any, Any, None]) -> None:
            try:
                await ending
            except ProgramError as failure:
                failures.append(failure)

        async with asyncio.TaskGroup() as group:
            for node in self.nodes.values():
                group.create_task(careful(self.end(node)))
            for master in self.masters.values():
                group.create_task(careful(master.stop()))
        await self.close_networks()
        for client in self.clients.values():
            await client.aclose()
        if failures:
            raise ExceptionGroup("not everything ended as it should", failures)

    def _steered(self, who: str) -> Program | PostgreSQL | RabbitMQ:
        services = {"postgres": self.postgres, "rabbitmq": self.rabbitmq}
        return services.get(who) or self.programs[who]

    def _program(self, name: str, module: str, settings: dict[str, str]) -> Process:
        passed = {key: value for key, value in os.environ.items() if key in PASSED or key.startswith("PYTHON")}
        passed.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling our modules takes a tenth of a second at each start
        if "THREE_PROXY" in passed:
            passed["THREE_PROXY"] = passed["THREE_PROXY"].split(os.pathsep)[0]
        environment = {**passed, "PYTHONPATH": str(self.code.get(module, ROOT)), **settings}
        command = [sys.executable, "-m", module]
        return Process(name, command, self.folder.log(name), environment, whole=False)

    async def _is_ready(self, who: str) -> bool:
        try:
            return (await self.clients[who].get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False


async def end_proxies(agent: Process) -> None:
    """Do what `maybe-node stop` does, without a process. Raises ProgramError."""
    from node.commands.stop import stop_proxies
    from node.errors import NodeError
    from node.settings import read_settings

    try:
        await stop_proxies(read_settings(agent.environment))
    except NodeError as error:
        raise ProgramError(f"the proxies of {agent.name} did not end: {error}") from error


@asynccontextmanager
async def cluster(
    where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, database: Database, vhost: Vhost, **settings: str
) -> AsyncIterator[Cluster]:
    """Run a cluster of one master, which is ready, and no node, on running services. `settings` are the master's."""
    made = Cluster(where.folder, where.ports, postgres, rabbitmq, database, vhost, where.ports.port(API))
    made.master_settings = settings
    try:
        await made.master()
        yield made
    finally:
        await made.close()


async def until(
    ask: Callable[[], Any], what: str, program: Program, *, limit_s: float = READY_S, must_run: bool = True
) -> Any:
    """Wait until the result of `ask` is true, and return it. Raises ProgramError with the end of the log."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = ask()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        if must_run and not program.is_running:
            raise ProgramError(f"waited for {what}, but {program.name} has ended\n{tail(program.log)}")
        if time.monotonic() > deadline:
            raise ProgramError(f"waited {limit_s:.0f} s for {what}\n{tail(program.log)}")
        await asyncio.sleep(0.05)


def challenge_of(node: Node) -> dict[str, Any] | None:
    """Read the waiting node's challenge file; None until it exists."""
    try:
        return json.loads(node.challenge_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def succeeded(answer: httpx.Response) -> httpx.Response:
    """Return a successful answer. Raises ProgramError, with the master's text, for any other."""
    if answer.is_error:
        request = f"{answer.request.method} {answer.request.url.path}"
        raise ProgramError(f"{request} was answered {answer.status_code}: {answer.text[:500]}")
    return answer
