"""How the programs' HTTP servers answer."""

import asyncio
import socket

from shared.http_server import bound_socket


async def test_an_answer_in_two_parts_does_not_wait_for_the_first_to_be_acknowledged():
    """Nagle's algorithm and a client's delayed acknowledgements cost 40 ms together (RFC 1122, 4.2.3.2)."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    told = asyncio.get_running_loop().create_future()
    listener = bound_socket("127.0.0.1", 0)
    async with await asyncio.start_server(answer, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await told
        writer.close()
