"""A node in the guest that was installed by the line of a real master, and enrolled there."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from shared.messages.bodies import UpgradeRequest
from tests.cluster.cluster import Cluster, cluster, succeeded
from tests.release.bundles import Release
from tests.services.folders import Folder
from tests.services.ports import HOST, PortBlock
from tests.services.postgres import PostgreSQL
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where
from tests.systemd.guest import GATE, Guest

DOWNLOAD, ENROL = 70, 71
"""Offsets of ports in the block of the run."""
SETTLED_S = 1500.0
STATE = "/var/lib/maybe-node-upgrade/state.json"
HOLDERS = """
for file in /var/lib/maybe-node/builtin/worker-*.lock; do
    awk -v end=":$(stat -c %i "$file")$" '$2 == "POSIX" && $6 ~ end { print $5 }' /proc/locks
done
"""
DROP_IN = "/etc/systemd/system/maybe-node-upgrade.service.d/test.conf"
UPGRADE = "/bin/sh -c 'exec $(test -x upgrader/maybe-node && echo upgrader || echo current)/maybe-node apply-upgrade"
PATIENCE = f"""[Service]
ExecStart=
ExecStart={UPGRADE} --restart-seconds 600 --health-seconds 200 --check-seconds 240'
"""
"""The guest is emulated, so what takes two seconds may take a minute. The rest of the unit is as it is."""
WRITE_REQUEST = """
umask 077
mkdir -p /var/lib/maybe-node/upgrade
cat >/var/lib/maybe-node/upgrade/.new
mv /var/lib/maybe-node/upgrade/.new /var/lib/maybe-node/upgrade/request.json
"""


@dataclass
class GuestNode:
    """The node. `releases` is the address in the guest at which further versions are served."""

    guest: Guest
    ports: PortBlock
    releases: str
    proxies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    installed: str = ""
    """What the installer printed."""
    repeated: str = ""
    """What it printed when the line was pasted again."""

    @property
    def agent(self) -> int:
        """The process of the agent; 0 while none runs."""
        return int(self.show("MainPID"))

    @property
    def workers(self) -> set[int]:
        """The processes that serve the proxies: each holds the lock of its file (proc(5), /proc/locks)."""
        return {int(line) for line in self.guest.out("sh", "-c", HOLDERS).split()}

    @property
    def version(self) -> str:
        """The version that the running agent names."""
        return json.loads(self.guest.out("maybe-node", "status", "--json"))["agent"]["version"]

    def show(self, name: str, unit: str = "maybe-node.service") -> str:
        """A property of a unit."""
        return self.guest.out("systemctl", "show", "--value", "--property", name, unit)

    def wait(self, condition: Callable[[], object], what: str, limit_s: float = SETTLED_S) -> None:
        """Wait for a condition; what the units logged is part of the error."""
        limit = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < limit, f"waited {limit_s:.0f} s {what}\n{self.journal()}"
            time.sleep(0.5)

    def wait_healthy(self) -> None:
        """Wait until the agent has its workers, and each proxy accepts."""
        done = self.guest.run("maybe-node", "health", "--deep", "--wait", str(SETTLED_S), limit_s=SETTLED_S + 60)
        assert done.code == 0, f"{done.stderr}\n{self.journal()}"

    def journal(self, *options: str) -> str:
        """What the units logged in this boot."""
        units = ("-u", "maybe-node.service", "-u", "maybe-node-upgrade.service", "-u", "maybe-node-upgrade.path")
        return self.guest.run("journalctl", "-b", "--no-pager", "-q", "-n", "80", *units, *options).stdout

    @contextmanager
    def changed_upgrade(self, lines: str = PATIENCE) -> Generator[None]:
        """Have these lines change the unit of upgrades."""
        self.guest.out("sh", "-c", "mkdir -p ${0%/*} && cat >$0 && systemctl daemon-reload", DROP_IN, given=lines)
        try:
            yield
        finally:
            self.guest.out("sh", "-c", "rm -r ${0%/*} && systemctl daemon-reload", DROP_IN)

    def upgrade(self, release: Release, id_: int) -> dict[str, Any]:
        """Request an upgrade, and wait until it has ended; return its state."""
        ended = ("done", "rolled_back", "refused")
        with self.changed_upgrade():
            self.request(release, id_)
            self.wait(
                lambda: (state := self.upgrade_state()).get("id") == id_ and state["state"] in ended, "for the upgrade"
            )
            self.wait(lambda: self.show("ActiveState", "maybe-node-upgrade.service") == "inactive", "for its unit")
        return self.upgrade_state()

    def request(self, release: Release, id_: int) -> None:
        """Write a request as the agent does."""
        version = release.manifest.version
        url = f"{self.releases}/{version}/manifest.json"
        body = UpgradeRequest(id=id_, version=version, url=url, sha256=release.manifest_sha256).model_dump_json()
        user = ("setpriv", "--reuid=maybe-node", "--regid=maybe-node", "--clear-groups")
        self.guest.out(*user, "sh", "-c", WRITE_REQUEST, given=body)

    def upgrade_state(self) -> dict[str, Any]:
        """The state of the last upgrade; empty before the first."""
        found = self.guest.run("cat", STATE)
        return json.loads(found.stdout) if found.code == 0 else {}


async def install(
    node: GuestNode,
    where: Where,
    postgres: PostgreSQL,
    rabbitmq: RabbitMQ,
    template: str,
    settings: dict[str, str],
) -> None:
    """Run a master with these settings while the node is installed from it, enrolled, and given proxies."""
    database = await postgres.create(f"maybe_{secrets.token_hex(6)}", template=template)
    vhost = await rabbitmq.create(f"maybe-{secrets.token_hex(6)}")
    folder = Folder(where.folder.private(f"cluster-{secrets.token_hex(4)}"), durable=False)
    port = where.ports.port(DOWNLOAD)
    settings |= {"DOWNLOAD_HOST": HOST, "DOWNLOAD_PORT": str(port), "DOWNLOAD_URL": f"http://{GATE}:{port}"}
    settings |= {"NODE_AMQP_URL": replace(vhost, host=GATE).environment["AMQP_URL"]}
    try:
        async with cluster(replace(where, folder=folder), postgres, rabbitmq, database, vhost, **settings) as master:
            line = succeeded(await master.api.get("/install-command")).json()["command"]
            script = succeeded(await master.api.get("/install.sh")).text
            await asyncio.to_thread(run_line, node, line, script, where.ports.port(ENROL))
            await enrol(node, master)
    finally:
        await postgres.drop(database.name)
        await rabbitmq.drop(vhost.name)


def run_line(node: GuestNode, line: str, script: str, port: int) -> None:
    """Paste the line on the host, twice, and keep the installer for later."""
    settings = ("NODE_ALLOW_DESTINATIONS=127.0.0.1", f"NODE_ENROL_PORT={port}")
    node.installed = node.guest.out("env", *settings, "sh", "-c", line, limit_s=1200)
    node.repeated = node.guest.out("sh", "-c", line, limit_s=1200)
    node.guest.out("sh", "-c", "cat >/root/install.sh", given=script)


async def enrol(node: GuestNode, master: Cluster) -> None:
    """Do what a person does: take the challenge to the master, and have it make proxies."""
    challenge = json.loads(await asyncio.to_thread(node.guest.out, "maybe-node", "challenge", "--json"))
    made = succeeded(await master.api.post("/nodes", json={**challenge["body"], "ip": HOST})).json()
    limits = {"limits": {"ports": f"{node.ports.port(1)}-{node.ports.port(9)}"}}
    succeeded(await master.api.patch(f"/nodes/{made['id']}", json=limits))
    for _ in range(3):
        wish = {"node_ids": [made["id"]]}
        proxy = succeeded(await master.api.post("/proxies", json=wish)).json()
        async with asyncio.timeout(SETTLED_S):
            while proxy["status"]["state"] != "running":
                await asyncio.sleep(0.5)
                proxy = succeeded(await master.api.get(f"/proxies/{proxy['id']}")).json()
        node.proxies.append(proxy)
