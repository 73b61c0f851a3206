"""HTTP requests through a proxy, and an origin that answers them as it is told."""

import asyncio

from tests.clients.streams import HERE, LOGIN, Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PASSED_ON = b"HTTP/1.1 200 OK\r\nVia: 1.1 maybe-proxy\r\nContent-Length: 2\r\n\r\nok"
"""The same as a client gets it."""


def scripted(*answers: bytes) -> tuple[Answer, list[bytes]]:
    """An origin that gives these answers, one per request head, over however many connections; and what it heard."""
    heard: list[bytes] = []
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(left.pop(0))
            if b"close" in heard[-1]:
                return

    return answer, heard


def get(port: int, path: str = "/", *fields: str, method: str = "GET") -> str:
    lines = [f"{method} http://{HERE}:{port}{path} HTTP/1.1", f"Host: {HERE}:{port}", LOGIN, *fields]
    return "\r\n".join(lines) + "\r\n\r\n"
