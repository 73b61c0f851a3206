"""A node that waits to be enrolled, in the test's own program, and strangers on its wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from node.enrolment.server import EnrolmentServer
from node.settings import read_settings
from node.state.identity import Identity
from shared.enrolment.bodies import NodeFacts
from shared.enrolment.challenge import new_challenge
from tests.services.ports import HOST

FACTS = NodeFacts(host="h", os="o", agent="1", engines={"builtin": "1"})


@dataclass
class WaitingNode:
    """Where it waits, and what it accepted."""

    port: int
    challenge: str = field(default_factory=new_challenge)
    accepted: list[Identity] = field(default_factory=list[Identity])

    async def accept(self, identity: Identity) -> None:
        self.accepted.append(identity)


@asynccontextmanager
async def waiting_node(data: Path, port: int) -> AsyncGenerator[WaitingNode]:
    """It waits for as long as this is open."""
    made = WaitingNode(port)
    environment = {"NODE_DATA_DIR": str(data), "NODE_ENROL_HOST": HOST, "NODE_ENROL_PORT": str(port)}
    waiting = EnrolmentServer(read_settings(environment), FACTS, made.accept, made.challenge)
    async with asyncio.TaskGroup() as group:
        group.create_task(waiting.run())
        await listens(port)
        yield made
        waiting.proven.set()


async def listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return


async def said(port: int, *pieces: bytes, end: bool = False) -> bytes:
    """Everything that comes back after these, up to the other side's end. Raises TimeoutError after 10 s.

    `end`: for what may never become a request; a server answers nobody who has hung up.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    heard = bytearray()
    try:
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if end:
                    writer.write_eof()
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    heard += data
    finally:
        writer.transport.abort()
    return bytes(heard)
