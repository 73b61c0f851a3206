"""What comes as a whole takes a short way through the built-in engine, and what comes in pieces ends the same."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from shared.proxies import ProxyRecord
from tests.clients.http_requests import OK
from tests.clients.streams import HERE, LOCAL, LOGIN, dialled, record, serving

DATE = re.compile(rb"Date: [^\r]*\r\n")

ANSWERS = {
    "a length": OK,
    "a length of nothing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX: y\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an interim response": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    "fields of one hop": b"HTTP/1.1 200 OK\r\nConnection: X\r\nX: y\r\nContent-Length: 2\r\n\r\nok",
    "an end": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "line feeds before content like the end of a head": b"HTTP/1.1 200 OK\nContent-Length: 9\n\nab\r\n\r\ncde",
    "SHOUTcast": b"ICY 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "odd lines": b"\r\nhttp/1.1\t200OK\r\nX(y): \x01\r\njunk\r\nContent-Length: 2, 02\r\n\r\nok",
    "no coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    "odd chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002 ;a\r\nok\r\n000\r\nJ\r\n\r\n",
    "less than announced": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    "nonsense": b"nonsense\r\n\r\n",
    "nothing": b"",
}
FIELDS = (
    "\r\n",
    "Connection: close\r\n\r\n",
    "Content-Length: 2\r\n\r\nhi",
    "Content-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0002;a\r\nhi\r\n000\r\n\r\n",
    "Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
)


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[ProxyRecord]:
    async with BuiltinEngine(tmp_path / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as engine:
        await engine.start(started := record())
        yield started
        await engine.halt()


async def say(writer: asyncio.StreamWriter, data: bytes, *, pieces: bool) -> None:
    for piece in map(bytes, zip(data)) if pieces else (data,):
        writer.write(piece)
        await asyncio.sleep(0)


async def outcome(proxy: ProxyRecord, request: str, answer: bytes, *, pieces: bool) -> tuple[bytes, list[bytes]]:
    """What the client gets, and what the origin hears, of two requests one after the other."""
    heard: list[bytes] = []

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            if b"Content-Length: 2" in heard[-1]:
                heard.append(await reader.readexactly(2))
            elif b"chunked" in heard[-1]:
                heard.append(await reader.readexactly(len(b"2\r\nhi\r\n0\r\n\r\n")))
            await say(writer, answer, pieces=pieces)
            if b"Length: 3" in answer or not answer or b"close" in answer + heard[0]:
                return

    async with serving(origin) as port, dialled(proxy.port) as (reader, writer):
        for _ in range(2):
            await say(writer, request.replace("PORT", str(port)).encode(), pieces=pieces)
        writer.write_eof()
        try:
            got = await reader.read()
        except ConnectionResetError:
            # What was under way may be lost with it.
            got = b"reset"
    return DATE.sub(b"", got), [each.replace(str(port).encode(), b"PORT") for each in heard]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_it_makes_no_difference_in_how_many_pieces_a_message_comes(proxy: ProxyRecord, answer: str) -> None:
    for fields in FIELDS:
        request = f"GET http://{HERE}:PORT/ HTTP/1.1\r\nHost: {HERE}\r\n{LOGIN}\r\n{fields}"
        whole = await outcome(proxy, request, ANSWERS[answer], pieces=False)
        assert whole == await outcome(proxy, request, ANSWERS[answer], pieces=True), fields
