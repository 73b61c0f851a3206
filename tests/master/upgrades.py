"""Upgrades of a fleet: signed manifests, nodes that report by the database, and the runner's steps."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from master.db.database import Database
from master.db.notifications import Notifications
from master.distribution.folder import BundleFolder
from master.domain.upgrades.releases import OfferedReleases
from master.domain.upgrades.runner import UpgradeRunner
from shared.messages.bodies import UpgradeRequest
from shared.proxies import NodeId
from shared.release.manifest import MANIFEST, SIGNATURE, BundleFile, Manifest
from shared.release.signing import new_key, public_key, sign
from tests.integration.conftest import Api

FILE = BundleFile(
    name="maybe-node-0.2.0-thin-cp311-x86_64-gnu.tar.gz",
    kind="thin",
    python="3.11",
    machine="x86_64",
    libc="gnu",
    size=1,
    sha256="0" * 64,
)


def write_release(folder: Path, version: str, key: bytes, *, min_upgradable_from: str = "0.1.0") -> None:
    """A signed manifest as the image build leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        version=version, created_at="2026-05-01T09:00:00Z", min_upgradable_from=min_upgradable_from, files=(FILE,)
    )
    (folder / MANIFEST).write_bytes(manifest.bytes())
    (folder / SIGNATURE).write_text(sign(manifest.bytes(), key))


def releases(folder: Path, *versions: str) -> BundleFolder:
    """A folder with these releases, the newest first, signed by a key that is trusted."""
    key = new_key()
    for place, version in enumerate(versions):
        write_release(folder if place == 0 else folder / "versions" / version, version, key)
    return BundleFolder(folder, (public_key(key),))


def strangers_key() -> str:
    """The public half of a key that signed nothing."""
    return base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


@dataclass
class Sender:
    """Remembers the requests that were sent; `is_up` is whether the broker is."""

    is_up: bool = True
    sent: list[tuple[int, UpgradeRequest]] = field(default_factory=list[tuple[int, UpgradeRequest]])

    async def send(self, node_id: NodeId, request: UpgradeRequest) -> None:
        self.sent.append((node_id, request))

    @property
    def nodes(self) -> list[int]:
        """The nodes that were sent a request, in order."""
        return [node for node, _ in self.sent]


@dataclass
class Fleet:
    """Nodes of agents at 0.1.0 that are able to upgrade themselves, and one master's runner."""

    api: Api
    rows: Database
    source: BundleFolder
    sender: Sender = field(default_factory=Sender)

    async def nodes(self, count: int, *, agent: str = "0.1.0", able: bool = True) -> list[int]:
        found = [await self.api.node() for _ in range(count)]
        for node in found:
            await self.reports(node, agent, able=able)
        return found

    async def reports(
        self, node: int, agent: str = "0.1.0", state: str = "", reason: str = "", *, able: bool = True, **more: Any
    ) -> None:
        """The node reports its agent, and the state of the request that it was sent last."""
        sent = [request.id for id_, request in self.sender.sent if id_ == node]
        upgrade = {"able": able, "id": sent[-1] if sent and state else None, "version": "", "state": state}
        await self.api.rows.execute("UPDATE nodes SET agent = $2 WHERE id = $1", node, agent)
        await self.api.rows.execute(
            "UPDATE node_status SET upgrade = $2, online = $3, session = $4, reported_at = now(), failed = $5"
            " WHERE node_id = $1",
            node,
            json.dumps({**upgrade, "reason": reason}),
            more.get("online", True),
            more.get("session", 1),
            more.get("failed", 0),
        )

    def runner(self) -> UpgradeRunner:
        """Another master's half."""
        nothing = Notifications(self.rows, lambda: None, lambda: None, lambda _: None)
        return UpgradeRunner(self.rows, nothing, OfferedReleases(self.source), self.sender)

    async def step(self) -> None:
        """One step, whoever took the last one."""
        await self.api.rows.execute("UPDATE upgrades SET next_check_at = '-infinity'")
        await self.runner().step()

    async def start(self, **body: Any) -> int:
        return (await self.api.call("POST", "/upgrades", 201, json={"soak_s": 0, **body}))["id"]

    async def shown(self, id_: int) -> dict[str, Any]:
        return await self.api.call("GET", f"/upgrades/{id_}", 200)

    async def states(self, id_: int) -> dict[int, str]:
        return {one["node_id"]: one["state"] for one in (await self.shown(id_))["nodes"]}

    async def upgrades(self, *nodes: int) -> None:
        """These nodes come to the version and soak to the end."""
        for node in nodes:
            await self.reports(node, "0.2.0", "done")
        await self.step()
        await self.step()

    async def events(self) -> list[str]:
        types = [event["type"] for event in (await self.api.call("GET", "/events?limit=1000", 200))["items"]]
        return [type_ for type_ in types if "upgrade" in type_]
