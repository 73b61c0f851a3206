"""How a node without an identity waits for its master: a challenge, and two HTTP routes that prove it.

POST /enrol/hello and POST /enrol/config, as in shared.enrolment. The challenge is spent only when the broker has
accepted the login that came with the configuration, so an answer that gets lost is no half-state: the master's
operator calls again with the same challenge.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from litestar import Litestar, Response, post
from litestar.exceptions import HTTPException
from litestar.params import JSONBody

from node.errors import NodeConfigurationError
from node.settings import Settings
from node.state.identity import Identity, write_secret
from shared.enrolment.bodies import REFUSED, Box, Hello, NodeFacts
from shared.enrolment.challenge import CHALLENGE_TTL_S, new_challenge
from shared.enrolment.handshake import NodeHandshake
from shared.enrolment.keys import BadHandshake
from shared.http_server import Server, bound_socket
from shared.tasks import wait_for_event

log = structlog.get_logger()

SESSIONS = 4
"""Handshakes that may be half-way at once; only somebody who knows the challenge begins one."""
REFUSALS_PER_S = 20
BODY_LIMIT = 65_536


class EnrolmentServer:
    """Listens until `proven`. `accept` makes an identity durable; it may be called again until then."""

    def __init__(
        self,
        settings: Settings,
        facts: NodeFacts,
        accept: Callable[[Identity], Awaitable[None]],
        challenge: str | None = None,
    ) -> None:
        """`challenge`: one that was given out already and is not spent."""
        self._settings, self._facts, self._accept = settings, facts, accept
        self._challenge = challenge or new_challenge()
        self._drawn_at = time.monotonic()
        self._sessions: list[NodeHandshake] = []
        self._refusals: list[float] = []
        self.proven = asyncio.Event()

    async def run(self) -> None:
        """Serve the two routes until proven; a challenge that is too old is drawn anew."""
        listener = enrolment_socket(self._settings.enrol_host, self._settings.enrol_port)
        app = Litestar(
            [self._hello_route(), self._config_route()],
            openapi_config=None,
            logging_config=None,
            request_max_body_size=BODY_LIMIT,
            exception_handlers={HTTPException: unread, RecursionError: unread},
        )
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        server = Server(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            await self._announce()
            while not await wait_for_event(self.proven, self._drawn_at + CHALLENGE_TTL_S - time.monotonic()):
                self._challenge, self._drawn_at, self._sessions = new_challenge(), time.monotonic(), []
                await self._announce()
            server.should_exit = True
        if self._settings.challenge_file is not None:
            with told_of_file(self._settings.challenge_file):
                self._settings.challenge_file.unlink(missing_ok=True)

    async def _announce(self) -> None:
        """Print the challenge and what to do with it; write it down when a setting asks for that."""
        ip = next(iter(self._facts.addresses), "127.0.0.1")
        host, port = self._settings.enrol_host, self._settings.enrol_port
        if host not in ("0.0.0.0", "::"):
            ip = host
        body = {"ip": ip, "challenge": self._challenge} | ({"port": port} if port != 3006 else {})
        print(invitation(body), flush=True)
        if self._settings.challenge_file is not None:
            text = json.dumps(body | {"port": port}).encode()
            with told_of_file(self._settings.challenge_file):
                await asyncio.to_thread(write_secret, self._settings.challenge_file, text)

    def _hello_route(self) -> Any:
        @post("/enrol/hello", status_code=200)
        async def hello(data: JSONBody[Hello]) -> Response[Any]:
            try:
                session = await asyncio.to_thread(NodeHandshake, self._challenge, data)
                answer = session.answer(self._facts)
            except BadHandshake:
                return self._refuse()
            self._sessions = [*self._sessions[-SESSIONS + 1 :], session]
            return Response(answer.model_dump())

        return hello

    def _config_route(self) -> Any:
        @post("/enrol/config", status_code=200)
        async def config(data: JSONBody[Box]) -> Response[Any]:
            for session in reversed(self._sessions):
                try:
                    given = session.read_config(data)
                except BadHandshake:
                    continue
                self._sessions.remove(session)
                await self._accept(Identity(given, challenge=self._challenge))
                return Response(session.confirmation(given).model_dump())
            return self._refuse()

        return config

    def _refuse(self) -> Response[Any]:
        """The same words for whatever was wrong. Too many in a second are told to wait; the right one never is."""
        now = time.monotonic()
        self._refusals = [at for at in self._refusals if now - at < 1] + [now]
        if len(self._refusals) > REFUSALS_PER_S:
            self._refusals.pop()
            return Response(REFUSED, status_code=429, media_type="text/plain", headers={"Retry-After": "1"})
        log.warning("enrolment.refused")
        return Response(REFUSED, status_code=403, media_type="text/plain")


@contextmanager
def told_of_file(path: Path) -> Generator[None]:
    """A disk that refuses is logged: the challenge was printed, and a spent one opens nothing."""
    try:
        yield
    except OSError as error:
        log.error("enrolment.challenge_file_failed", path=str(path), reason=error.strerror)


def unread(_: Any, error: Exception) -> Response[bytes]:
    """Nothing of what was sent is told again; JSON may be nested so deep that reading it is given up."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    return Response(REFUSED, status_code=status, media_type="text/plain")


def enrolment_socket(host: str, port: int) -> socket.socket:
    """A listening socket, so that nobody who is told of it comes too early. Raises BadConfiguration."""
    try:
        listener = bound_socket(host, port)
    except OSError as error:
        raise NodeConfigurationError(
            "NODE_ENROL_PORT", f"{host}:{port} cannot be listened on: {error.strerror}"
        ) from error
    listener.listen(64)
    return listener


def invitation(body: dict[str, Any]) -> str:
    """What a person sees who has just started a node."""
    return (
        "\nThis node waits to be enrolled. Its challenge (good for "
        f"{CHALLENGE_TTL_S // 60} minutes):\n\n    {body['challenge']}\n\n"
        "Tell it to your master (put the master's address in, and this host's if the master sees another):\n\n"
        f"    curl -X POST http://MASTER:3005/nodes -H 'Content-Type: application/json' \\\n"
        f"         -d '{json.dumps(body)}'\n"
    )
