"""The price of TLS with clients: processor time and memory of one worker, with and without, in turns.

    ./dev python -m tests.bench.engines.tls [ROUNDS]

A figure is the median over the rounds, with the range. Client and origin are of this process; only the worker counts.
"""

import asyncio
import os
import socket
import ssl
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.pool.processes import worker_pid
from shared.proxies import ProxyRecord
from tests.bench.engines.measuring import cpu_s
from tests.clients.origins import Certificate, certificate
from tests.clients.streams import HERE, LOCAL, LOGIN, record
from tests.engines.tls import pem_of

CONNECTIONS, IDLE = 300, 400
BULK = 1 << 30
PIECE = 1 << 20


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="maybe-bench-") as folder, origin() as port:
        found = asyncio.run(measured(Path(folder), port, rounds))
    for name, figures in found.items():
        print(f"{name}: {median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})")


async def measured(folder: Path, origin_port: int, rounds: int) -> dict[str, list[float]]:
    """All figures by name, one for each round."""
    known = certificate(folder)
    found: dict[str, list[float]] = defaultdict(list)
    async with BuiltinEngine(folder / "engine", listen=HERE, workers=1, allow_destinations=LOCAL) as engine:
        await engine.use_certificate(pem_of(known))
        plain, secure = record(1), record(2, tls=True)
        for proxy in (plain, secure):
            await engine.start(proxy)
        pid = worker_pid(folder / "engine", 0) or 0
        for _ in range(rounds):
            for name, work in works(known, plain, secure, origin_port):
                before = cpu_s([pid])
                await asyncio.to_thread(work)
                spent = cpu_s([pid]) - before
                found[name].append(spent / CONNECTIONS * 1e6 if "connection" in name else spent)
        for name, proxy, context in (("plain", plain, None), ("TLS", secure, known.client())):
            found[f"KiB of memory per idle tunnel, {name}"].append(
                await asyncio.to_thread(memory, pid, proxy, context, origin_port)
            )
        await engine.halt()
    return found


def works(
    known: Certificate, plain: ProxyRecord, secure: ProxyRecord, port: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is done in one round, by the name of its figure."""
    context = known.client()
    yield "CPU per GiB, plain, s", lambda: download(plain, None, port)
    yield "CPU per GiB, TLS, s", lambda: download(secure, context, port)
    yield "CPU per connection, plain, µs", lambda: connect_many(plain, None, port, resumes=False)
    yield "CPU per connection, TLS, µs", lambda: connect_many(secure, context, port, resumes=False)
    yield "CPU per connection, TLS resumed, µs", lambda: connect_many(secure, context, port, resumes=True)


def tunnel(
    proxy: ProxyRecord, context: ssl.SSLContext | None, port: int, session: ssl.SSLSession | None = None
) -> socket.socket:
    """A tunnel to the origin; its `session` may be resumed."""
    sock = socket.create_connection((HERE, proxy.port))
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname=HERE, session=session)
    sock.sendall(f"CONNECT {HERE}:{port} HTTP/1.1\r\n{LOGIN}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return sock


def download(proxy: ProxyRecord, context: ssl.SSLContext | None, port: int) -> None:
    left, buffer = BULK, bytearray(PIECE)
    with tunnel(proxy, context, port) as sock:
        sock.sendall(b"bulk")
        while left:
            left -= sock.recv_into(buffer)


def connect_many(proxy: ProxyRecord, context: ssl.SSLContext | None, port: int, *, resumes: bool) -> None:
    session = None
    for _ in range(CONNECTIONS):
        with tunnel(proxy, context, port, session) as sock:
            sock.sendall(b"echo")
            sock.recv(4)
            session = sock.session if resumes and isinstance(sock, ssl.SSLSocket) else None


def memory(pid: int, proxy: ProxyRecord, context: ssl.SSLContext | None, port: int) -> float:
    """The private memory that each of many idle tunnels adds, in KiB."""
    with ExitStack() as held:
        held.enter_context(tunnel(proxy, context, port))
        before = private_kib(pid)
        for _ in range(IDLE):
            held.enter_context(tunnel(proxy, context, port))
        return (private_kib(pid) - before) / IDLE


def private_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


@contextmanager
def origin() -> Iterator[int]:
    """The port of an origin that echoes four bytes, or sends BULK for the word `bulk`."""
    with socket.create_server((HERE, 0), backlog=1024) as listener, memory_file() as content:

        def serve(sock: socket.socket) -> None:
            # Clients close without an announcement, as Python's TLS does, so the proxy resets the connection.
            with sock, suppress(ConnectionError):
                word = sock.recv(4)
                if word == b"bulk":
                    for _ in range(BULK // PIECE):
                        os.lseek(content, 0, os.SEEK_SET)
                        sock.sendall(os.read(content, PIECE))
                elif word:
                    sock.sendall(word)
                    sock.recv(1)

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def memory_file() -> Iterator[int]:
    fd = os.memfd_create("content")
    os.write(fd, os.urandom(PIECE))
    try:
        yield fd
    finally:
        os.close(fd)


if __name__ == "__main__":
    main()
