"""Invitations, a listener for announcements, and nodes that announce themselves, all in the test's own program."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from master.db.database import Database
from master.distribution.downloads.app import Downloads
from master.distribution.downloads.limits import Connections
from master.distribution.downloads.listener import listener_config
from master.distribution.folder import BundleFolder
from master.distribution.install_script import InstallScript
from master.domain.nodes.enrolment.service import Enrolment
from master.domain.nodes.invitations import service as invitations
from master.domain.nodes.invitations.announcements import AnnouncementReceiver
from master.domain.nodes.invitations.schemas import Invitation, InvitationCreated, NewInvitation
from master.domain.nodes.protocols import InstallSource
from node.enrolment.announcer import Pace
from node.enrolment.membership import Membership
from node.settings import read_settings
from node.state.identity import Identity
from shared.http_server import Server, bound_socket
from tests.master.dependencies import NOWHERE

QUICK = Pace(call_s=0.4, config_s=0.3, login_s=0.5, closed_s=0.3, retry_most_s=0.2, busy_most_s=0.2)
LIMIT_S = 20.0


async def invite(rows: Database, **members: Any) -> InvitationCreated:
    """Create an invitation."""
    async with rows.transaction() as session:
        return await invitations.create(session, NewInvitation(**members), InstallSource("http://master"))


async def invitation(rows: Database, id_: int) -> Invitation:
    """Read it."""
    async with rows.session() as session:
        return await invitations.get(session, id_)


async def remove(rows: Database, id_: int) -> None:
    """Remove it."""
    async with rows.transaction() as session:
        await invitations.remove(session, id_)


@asynccontextmanager
async def listening(rows: Database, enrolment: Enrolment, port: int = 0) -> AsyncGenerator[str]:
    """A master's listener for announcements; its URL."""
    announcements = AnnouncementReceiver(rows, enrolment)
    with closing(bound_socket("127.0.0.1", port)) as listener:
        listener.listen(128)
        downloads = Downloads(BundleFolder(NOWHERE, ()), InstallScript(None, ()), announcements)
        server = Server(listener_config(downloads, Connections()))
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(announcements.run())
            serving = group.create_task(server.serve(sockets=[listener]))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                receiving.cancel()
                server.should_exit = True
                await serving


@dataclass
class InvitedNode:
    """A node with an invitation, and the identities that it was given. `logs_in`: the broker accepts its logins."""

    data: Path
    environment: dict[str, str]
    logs_in: bool = True
    identities: list[Identity] = field(default_factory=list[Identity])
    membership: Membership | None = None

    async def run(self) -> None:
        """Wait and announce until cancelled."""
        self.membership = Membership(read_settings(self.environment), {"builtin": "1"}, QUICK)
        await self.membership.run(self._work)

    async def _work(self, identity: Identity) -> None:
        assert self.membership is not None
        self.identities.append(identity)
        if self.logs_in:
            await self.membership.prove(identity.config)
        await asyncio.Event().wait()

    async def stop_listening(self) -> None:
        """End the listener first, as the end of the process would."""
        waiting = self.membership and self.membership._waiting
        if waiting is not None:
            waiting.proven.set()
            await until(lambda: is_free(self.environment["NODE_ENROL_HOST"], int(self.environment["NODE_ENROL_PORT"])))

    @property
    def is_in(self) -> bool:
        return bool(self.identities)


def invited_node(folder: Path, number: int, code: str, url: str, port: int, **environment: str) -> InvitedNode:
    """A node with a loopback address of its own."""
    data = folder / f"node-{number}"
    data.mkdir(exist_ok=True)
    settings = {
        "NODE_DATA_DIR": str(data),
        "NODE_ENROL_HOST": f"127.0.0.{number + 1}",
        "NODE_ENROL_PORT": str(port),
        "NODE_INVITATION": code,
        "NODE_MASTER_URL": url,
    }
    return InvitedNode(data, settings | environment)


@asynccontextmanager
async def running(*nodes: InvitedNode) -> AsyncGenerator[None]:
    """Run these nodes for as long as this is open."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.run()) for node in nodes]
        yield
        for node in nodes:
            await node.stop_listening()
        for task in tasks:
            task.cancel()


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    try:
        bound_socket(host, port).close()
    except OSError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it. Raises TimeoutError."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.01)
