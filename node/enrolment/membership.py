"""Membership of the node in a cluster: waits to be enrolled while it has no identity, then works under it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from node.errors import IdentityUnread
from node.host import addresses, host_name, os_name
from node.settings import Settings
from node.state.broker_moves import NodeMoves
from node.state.identity import Identity, read_identity, write_identity
from node.state.status_file import WaitingChallenge
from shared.enrolment.bodies import NodeConfig, NodeFacts
from shared.tasks import Endurance, insist, run_until
from shared.version import program_version

if TYPE_CHECKING:
    from node.enrolment.announcer import Announcer, Pace
    from node.enrolment.invited import InvitedChallenge
    from node.enrolment.server import EnrolmentServer


log = structlog.get_logger()


class Membership:
    """The identity that the node has, or waits for."""

    def __init__(self, settings: Settings, engines: Mapping[str, str], pace: "Pace | None" = None) -> None:
        """`engines` maps the engines of this node to their versions; `pace` is that of its announcements."""
        self._pace = pace
        self._settings, self._engines = settings, engines
        self.challenge: WaitingChallenge | None = None
        """The challenge that waits to be answered."""
        self.known = asyncio.Event()
        """Set once the node has an identity, or waits for one."""
        self._identity: Identity | None = None
        self._proven: NodeConfig | None = None
        self._changing = asyncio.Lock()
        """Held while the identity on disk is written, so that a spent challenge never brings back an older login."""
        self._renewed = asyncio.Event()
        self._logged_in = asyncio.Event()
        self._waiting: EnrolmentServer | None = None
        self._invited: InvitedChallenge | None = None

    async def run(self, work: Callable[[Identity], Awaitable[None]]) -> None:
        """Run `work` under the node's identity, once it has one, and again whenever it changes. Raises BadIdentity."""
        self._identity = await insist(self._read, loop="identity", endurance=Endurance(away=(IdentityUnread,)))
        async with asyncio.TaskGroup() as group:
            if self._identity is None or self._identity.challenge is not None:
                self._waiting = await self._listener()
                group.create_task(self._waiting.run())
                group.create_task(self._spend_challenge(self._waiting))
                if self._invited is not None:
                    self.known.set()
                    group.create_task(
                        run_until(self._waiting.proven, self._announcer(self._waiting, self._invited).run)
                    )
            else:
                self.known.set()
            while True:
                if self._identity is None:
                    await self._renewed.wait()
                self._renewed.clear()
                assert self._identity is not None  # noqa: S101 (narrowing)
                await run_until(self._renewed, partial(work, self._identity))

    async def prove(self, config: NodeConfig) -> None:
        """Note that the broker accepted this login: the challenge is spent as soon as that is on disk.

        A login that a newer configuration has replaced meanwhile proves nothing.
        """
        if self._identity is not None and config is self._identity.config:
            self._proven = config
            self._logged_in.set()

    async def keep_moves(self, config: NodeConfig, moves: NodeMoves) -> None:
        """Write which addresses of the broker the node uses, unless a newer configuration has replaced this one. Raises
        OSError."""
        async with self._changing:
            if self._identity is not None and config is self._identity.config:
                await self._write(replace(self._identity, moved=moves))

    async def _write(self, identity: Identity) -> None:
        await asyncio.to_thread(write_identity, self._settings.identity_file, identity)
        self._identity = identity

    async def _read(self) -> Identity | None:
        return await asyncio.to_thread(read_identity, self._settings.identity_file)

    async def _spend_challenge(self, waiting: "EnrolmentServer") -> None:
        """Erase the challenge after the first login; while the disk is full, try again.

        A master that has begun another handshake may have given the node another password at the broker already, so
        its configuration is awaited first.
        """

        async def write() -> bool:
            async with self._changing:
                if self._proven is None or self._identity is None:
                    return False
                await self._write(replace(self._identity, challenge=None))
                if self._invited is not None:
                    await asyncio.to_thread(self._invited.forget)
                return True

        is_spent = False
        while not is_spent:
            await self._logged_in.wait()
            await waiting.settled()
            is_spent = await insist(write, loop="identity", endurance=Endurance(away=(OSError,)))
        waiting.proven.set()

    async def _listener(self) -> "EnrolmentServer":
        """Import the server late: it takes megabytes that an enrolled node does not need."""
        module = await asyncio.to_thread(import_module, "node.enrolment.server")
        self._invited = self._invited_challenge()
        challenge = self._identity.challenge if self._identity is not None else None
        return module.EnrolmentServer(
            self._settings, self._facts(), self._accept, challenge, self._invited, on_challenge=self._offer
        )

    def _invited_challenge(self) -> "InvitedChallenge | None":
        """Return the challenge of the node's invitation; None if it has none."""
        settings = self._settings
        if settings.invitation is None:
            return None
        from node.enrolment.invited import InvitedChallenge as Challenge  # noqa: PLC0415 (as in _listener)
        from shared.enrolment.invitation import read_invitation  # noqa: PLC0415

        invitation = read_invitation(settings.invitation.get_secret_value())
        return Challenge(invitation, settings.nonce_file, port=settings.enrol_port, ip=settings.announce_ip)

    def _announcer(self, waiting: "EnrolmentServer", invited: "InvitedChallenge") -> "Announcer":
        from node.enrolment.announcer import Announcer as Invited  # noqa: PLC0415 (as in _listener)

        settings = self._settings
        return Invited(
            settings.master_url or "",
            invited,
            source=None if settings.enrol_host in ("0.0.0.0", "::") else settings.enrol_host,
            is_accepted=lambda: self._identity is not None,
            on_closed=waiting.show_challenge,
            pace=self._pace,
        )

    def _offer(self, challenge: WaitingChallenge | None) -> None:
        self.challenge = challenge
        self.known.set()

    async def _accept(self, identity: Identity) -> None:
        async with self._changing:
            await self._write(identity)
            self._proven = None
            self._logged_in.clear()
        log.info("node.enrolled", node_id=identity.config.node_id, name=identity.config.name)
        self._renewed.set()

    def _facts(self) -> NodeFacts:
        return NodeFacts(
            host=host_name(),
            os=os_name(),
            agent=program_version(),
            addresses=addresses(),
            engines=dict(self._engines),
        )
