"""HTTP server of a node that waits for enrolment: prints a challenge and proves it in two routes.

The routes are POST /enrol/hello and POST /enrol/config (see shared.enrolment). The challenge is spent only when the
broker has accepted the login from the configuration. So a lost answer leaves no half-enrolled node: the master may call
again with the same challenge.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvicorn

from node.enrolment.application import Application
from node.enrolment.instructions import instructions, request_body
from node.enrolment.invited import InvitedChallenge
from node.errors import NodeConfigurationError
from node.settings import Settings
from node.state.identity import Identity, write_secret
from node.state.status_file import WaitingChallenge
from shared.asgi import JSON, Answer
from shared.enrolment.bodies import REFUSED, Box, Hello, NodeFacts
from shared.enrolment.challenge import CHALLENGE_TTL_S, new_challenge
from shared.enrolment.handshake import NodeHandshake
from shared.enrolment.keys import BadHandshake
from shared.http_server import Server, bound_socket
from shared.tasks import wait_for_event

log = structlog.get_logger()

SESSIONS = 4
"""Unfinished handshakes that are kept at once; only a caller that knows the challenge begins one."""
REFUSALS_PER_S = 20
UNFINISHED_S = 15.0
"""Time for which a handshake may still bring a configuration: above the master's limit on an answer."""


@dataclass(frozen=True, slots=True, eq=False)
class ProvenHandshake:
    """An unfinished handshake, with the challenge that the master has proven, and its nonce if it is an invited one."""

    handshake: NodeHandshake
    challenge: str = field(repr=False)
    nonce: str | None = None
    begun_at: float = field(default_factory=time.monotonic)


class EnrolmentServer:
    """Serves until `proven` is set. `accept` stores an identity; it may be called several times until then."""

    def __init__(
        self,
        settings: Settings,
        facts: NodeFacts,
        accept: Callable[[Identity], Awaitable[None]],
        challenge: str | None = None,
        invited: InvitedChallenge | None = None,
        *,
        on_challenge: Callable[[WaitingChallenge | None], None] = lambda _: None,
    ) -> None:
        """`challenge` is an earlier one that is not spent yet, if there is any; `invited` counts beside it.

        `on_challenge` is called with each challenge once it can be answered, and with None when the last one is spent.
        """
        self._invited = invited
        self._settings, self._facts, self._accept, self._on_challenge = settings, facts, accept, on_challenge
        self._challenge = challenge or new_challenge()
        self._drawn_at = time.monotonic()
        self._handshakes: list[ProvenHandshake] = []
        self._refusals: list[float] = []
        self._finished = asyncio.Event()
        self.proven = asyncio.Event()

    async def run(self) -> None:
        """Serve the two routes until `proven` is set, with a new challenge whenever the last one expires."""
        with closing(enrolment_socket(self._settings.enrol_host, self._settings.enrol_port)) as listener:
            await self._serve(listener)
        if self._settings.challenge_file is not None:
            with logged_file_errors(self._settings.challenge_file):
                self._settings.challenge_file.unlink(missing_ok=True)

    async def _serve(self, listener: socket.socket) -> None:
        app = Application({"/enrol/hello": self._hello, "/enrol/config": self._config})
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        server = Server(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            if self._invited is None:
                await self.show_challenge()
            while not await wait_for_event(self.proven, self._drawn_at + CHALLENGE_TTL_S - time.monotonic()):
                self._challenge, self._drawn_at, self._handshakes = new_challenge(), time.monotonic(), []
                if self._invited is None or self._invited.is_closed:
                    await self.show_challenge()
            server.should_exit = True
        self._on_challenge(None)

    async def settled(self) -> None:
        """Wait until no handshake is under way that may still bring a configuration."""
        while self._handshakes:
            self._finished.clear()
            left = self._handshakes[-1].begun_at + UNFINISHED_S - time.monotonic()
            if not await wait_for_event(self._finished, left):
                return

    async def show_challenge(self) -> None:
        """Print the challenge with instructions, and write it to the challenge file if one is set."""
        ip = next(iter(self._facts.addresses), "127.0.0.1")
        host, port = self._settings.enrol_host, self._settings.enrol_port
        if host not in ("0.0.0.0", "::"):
            ip = host
        expires_at = time.time() + self._drawn_at + CHALLENGE_TTL_S - time.monotonic()
        challenge = WaitingChallenge(ip=ip, port=port, challenge=self._challenge, expires_at=round(expires_at))
        body = request_body(challenge)
        print(instructions(body), flush=True)
        self._on_challenge(challenge)
        if self._settings.challenge_file is not None:
            text = json.dumps(body | {"port": port}).encode()
            with logged_file_errors(self._settings.challenge_file):
                await asyncio.to_thread(write_secret, self._settings.challenge_file, text)

    async def _hello(self, body: bytes) -> Answer:
        hello = Hello.model_validate_json(body)
        session = await asyncio.to_thread(begin_handshake, hello, self._challenge, self._invited)
        if session is None:
            return self._refuse()
        if self._invited is not None and session.nonce is not None:
            await self._invited.keep(session.nonce)
        answer = session.handshake.answer(self._facts)
        self._handshakes = [*self._handshakes[-SESSIONS + 1 :], session]
        return Answer(200, answer.model_dump_json().encode(), JSON)

    async def _config(self, body: bytes) -> Answer:
        box = Box.model_validate_json(body)
        for session in reversed(self._handshakes):
            try:
                received = session.handshake.read_config(box)
            except BadHandshake:
                continue
            self._handshakes.remove(session)
            self._finished.set()
            if self._invited is not None and session.nonce is not None and not await self._invited.admits(received):
                return self._refuse()
            await self._accept(Identity(received, challenge=session.challenge))
            return Answer(200, session.handshake.confirmation(received).model_dump_json().encode(), JSON)
        return self._refuse()

    def _refuse(self) -> Answer:
        """Refuse with a constant text, whatever was wrong. Refusals are rate-limited, correct requests never are."""
        now = time.monotonic()
        self._refusals = [at for at in self._refusals if now - at < 1] + [now]
        if len(self._refusals) > REFUSALS_PER_S:
            self._refusals.pop()
            return Answer(429, REFUSED, headers=((b"retry-after", b"1"),))
        log.warning("enrolment.refused")
        return Answer(403, REFUSED)


def begin_handshake(hello: Hello, own: str, invited: InvitedChallenge | None) -> ProvenHandshake | None:
    """Begin a handshake with a master that knows the invitation's challenge or the node's own; None with any other."""
    challenges: list[tuple[str, str | None]] = [(own, None)]
    if invited is not None:
        nonce = invited.nonce
        challenges.insert(0, (invited.challenge_of(nonce), nonce))
    for challenge, nonce in challenges:
        with suppress(BadHandshake):
            return ProvenHandshake(NodeHandshake(challenge, hello), challenge, nonce)
    return None


@contextmanager
def logged_file_errors(path: Path) -> Generator[None]:
    """Log errors of the disk instead of raising them: the challenge was printed, and a spent one is worthless."""
    try:
        yield
    except OSError as error:
        log.error("enrolment.challenge_file_failed", path=str(path), reason=error.strerror)


def enrolment_socket(host: str, port: int) -> socket.socket:
    """Open the listening socket, before the address is announced. Raises NodeConfigurationError."""
    try:
        listener = bound_socket(host, port)
    except OSError as error:
        raise NodeConfigurationError("NODE_ENROL_PORT", f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.listen(64)
    return listener
