"""The node's small HTTP client against servers that do what they like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.enrolment.http_post import PostFailed, post_json


@asynccontextmanager
async def answering(*pieces: bytes, hold: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request and answers with these pieces; `hold`: it never ends the connection."""
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.read(2))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if hold:
                await ended.wait()
        except (ConnectionError, EOFError):
            pass  # the client has had enough
        finally:
            writer.transport.abort() if hold else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/announce", heard
    ended.set()
    server.close()


OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.0 202 Accepted\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
    ids=["length", "chunks", "closed", "after 100"],
)
async def test_an_answer_is_read_in_each_form_of_http(answer: bytes):
    async with answering(*(answer[at : at + 1] for at in range(len(answer)))) as (url, heard):
        got = await post_json(url, b"{}")
    assert (got.status, got.body) == (202, b"{}")
    assert heard[0].startswith(b"POST /announce HTTP/1.1\r\n")
    assert heard[0].endswith(b"\r\n\r\n{}")


async def test_a_redirect_is_an_answer_like_any_other():
    async with answering(b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as (url, _):
        assert (await post_json(url, b"{}")).status == 307


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", *[b"x" * 8000] * 50], "too long"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x" * 5000], "too long"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X-More: " + b"x" * 4000 + b"\r\n"] * 50], "no HTTP server"),
        ([*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 5000], "too long"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "no HTTP server"),
        ([b"\x00\xff" * 100], "no HTTP server"),
        ([b""], "no HTTP server"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"], "no HTTP server"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"], "no HTTP server"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_refused_with_a_reason(answer: list[bytes], reason: str):
    async with answering(*answer) as (url, _):
        with pytest.raises(PostFailed, match=reason):
            await post_json(url, b"{}")


async def test_a_server_that_does_not_answer_holds_nobody_up():
    async with answering(b"HTTP/1.1 200 OK\r\n", hold=True) as (url, _):
        with pytest.raises(PostFailed, match="no answer within"):
            await post_json(url, b"{}", limit_s=0.2)


async def test_a_refused_connection_and_an_unknown_name_have_their_reasons():
    with pytest.raises(PostFailed, match=r"refused|Connect call failed"):
        await post_json("http://127.0.0.1:1/announce", b"{}")
    with pytest.raises(PostFailed, match="cannot be resolved"):
        await post_json("http://master.invalid/announce", b"{}")


async def test_a_plain_server_behind_an_https_url_has_its_reason():
    async with answering(OK) as (url, heard):
        with pytest.raises(PostFailed):
            await post_json(url.replace("http:", "https:"), b"{}", limit_s=2)
    assert not heard


@pytest.mark.parametrize(("value", "seconds"), [(b"7", 7), (b"9999999", None), (b"soon", None), (b"-1", None)])
async def test_retry_after_is_read_in_seconds(value: bytes, seconds: int | None):
    async with answering(b"HTTP/1.1 429 x\r\nRetry-After: " + value + b"\r\nContent-Length: 0\r\n\r\n") as (url, _):
        assert (await post_json(url, b"{}")).retry_after_s == seconds
