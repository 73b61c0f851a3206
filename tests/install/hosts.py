"""A host whose node was installed by the pasted line of a real master, and is kept running by a `ServiceManager`."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster, succeeded
from tests.engines.three_proxy_binaries import binaries
from tests.install.roots import PROGRAMS, Root
from tests.install.service_manager import ServiceManager
from tests.release.bundles import KEY, make_release
from tests.services.ports import ENROLMENT, HOST, PortBlock, claim_block

DOWNLOAD = 15
"""Offset of the download listener in the master's block of ports."""
SETTINGS = ("NODE_LISTEN", "NODE_ENROL_HOST", "NODE_ALLOW_DESTINATIONS")


@dataclass
class Host:
    """An installed host on the network of this machine, so that it needs ports of its own."""

    root: Root
    services: ServiceManager
    cluster: Cluster
    ports: PortBlock
    id: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What the installer is started with."""
        return {
            **dict.fromkeys(SETTINGS, HOST),
            "NODE_ENROL_PORT": str(self.cluster.ports.port(ENROLMENT)),
            "NODE_WORKERS": "2",
        }

    async def install(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Fetch, check and run the installer as the master's line does."""
        answer = succeeded(await self.cluster.api.get("/install-command"))
        line = " ".join([answer.json()["command"], *options])
        return await asyncio.to_thread(self.root.run, "sh", "-c", line, **self.environment)

    async def enrol(self) -> None:
        """Give the challenge that the node waits with to the master, and wait until it is online."""
        body = json.loads((await self.command("challenge", "--json")).stdout)["body"]
        ports = {"limits": {"ports": f"{self.ports.port(30)}-{self.ports.port(90)}"}}
        self.id = succeeded(await self.cluster.api.post("/nodes", json={**body, "ip": HOST})).json()["id"]
        succeeded(await self.cluster.api.patch(f"/nodes/{self.id}", json=ports))
        async with asyncio.timeout(60):
            while (await self.node())["status"]["state"] != "online":
                await asyncio.sleep(0.1)

    async def node(self) -> dict[str, Any]:
        """The node as the API shows it."""
        return succeeded(await self.cluster.api.get(f"/nodes/{self.id}")).json()

    async def proxies(self, count: int, **members: Any) -> list[dict[str, Any]]:
        """So many proxies of this node, which run."""

        async def one() -> dict[str, Any]:
            body = {"node_ids": [self.id], **members}
            made = succeeded(await self.cluster.api.post("/proxies", json=body, headers={"Prefer": "wait=30"})).json()
            assert made["status"]["state"] == "running", made
            return made

        return [await one() for _ in range(count)]

    async def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the node as a person on the host does."""
        return await asyncio.to_thread(self.root.run, "/usr/local/bin/maybe-node", *words)


@contextmanager
def bare_host(path: Path, cluster: Cluster, *, wrapped: tuple[str, ...] = ()) -> Iterator[Host]:
    """A host before its installation; whatever happens, none of its processes is left."""
    root = Root(path, network=None)
    services = ServiceManager(root, wrapped=wrapped)
    ports = claim_block()
    root.open(f"{PROGRAMS} python3 curl")
    for program in binaries()[:1]:
        shutil.copy(program, root.path / "usr/bin/3proxy")
    services.open()
    try:
        yield Host(root, services, cluster, ports)
    finally:
        print(root.text("run/systemctl/log") if (path / "run/systemctl/log").exists() else "")
        services.close()
        root.run("/usr/local/bin/maybe-node", "stop")
        root.close()
        ports.close()


def publish(folder: Path, version: str, replaced: dict[str, bytes | None] | None = None) -> None:
    """Have the master serve another version as its newest."""
    make_release(folder, version, key=KEY, replaced=replaced)
