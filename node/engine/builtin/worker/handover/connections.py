"""Packs the state of a connection for another process, and continues it there or, if that fails, here."""

import base64
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from node.engine.builtin.net.connection import IN, Connection
from node.engine.builtin.net.pipe_pool import Pipe
from node.engine.builtin.net.reclaimed_socket import Reclaimed, close_copy
from node.engine.builtin.policy.access import allows
from node.engine.builtin.protocols.destinations import Destination
from node.engine.builtin.sessions.client import Client
from node.engine.builtin.sessions.http_session import HttpSession
from node.engine.builtin.sessions.protocol_detection import ProtocolDetection
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.tunnel import Tunnel

PackedState = dict[str, Any]
"""Plain JSON; the descriptors are sent with it, in the order in which they are added here."""


class PackedConnection:
    """The stage of a connection that is being moved: nothing reads or writes it here meanwhile."""

    __slots__ = ("_connections", "client", "fds", "stage", "state")

    def __init__(self, client: Client, stage: Tunnel | HttpSession | ProtocolDetection, inbox: bytes = b"") -> None:
        self.client = client
        self.stage = stage
        self.fds: list[int] = []
        self._connections = (client, stage.origin) if isinstance(stage, Tunnel) else (client,)
        self.state: PackedState = {
            "proxy": client.proxy.record.id,
            "source": client.source,
            "admitted": client.admitted,
            "has_slot": client.has_slot,
            "has_lease": client.lease is not None,
            "credentials": _text(client.credentials),
            "session": _text(client.session),
            "destination": client.destination,
            "client": _pack(client, self.fds),
            "origin": _pack(stage.origin, self.fds) if isinstance(stage, Tunnel) else None,
            "inbox": _text(inbox) if isinstance(stage, HttpSession) else None,
        }
        client.stage = self

    @property
    def owner(self) -> object:
        return self.client.proxy

    def ready(self, fd: int, events: int) -> None:
        """Does nothing: no events are watched."""

    def resume(self) -> None:
        """Continue here after all, unless the connection was closed meanwhile."""
        client, stage = self.client, self.stage
        if client.stage is not self:
            return
        for connection in self._connections:
            connection.sock = Reclaimed(client.reactor.epoll, connection.sock)
        client.stage = stage
        match stage:
            case Tunnel():
                stage.resume()
            case HttpSession():
                stage.proceed()
            case ProtocolDetection():
                client.watch(IN)

    def close(self) -> None:
        """Close this process's copy only; the process that has the same descriptors continues undisturbed."""
        for connection in self._connections:
            close_copy(connection.sock)
        self.client.stage = self.stage
        self.stage.close()

    def abort(self) -> None:
        self.close()


def pack(client: Client) -> PackedConnection | None:
    """Pack a connection; None if it cannot be moved in its current state. The state of TLS, which OpenSSL keeps, cannot
    be moved at all."""
    if client.tls is not None:
        return None
    stage = client.stage
    match stage:
        case Tunnel() | ProtocolDetection():
            return PackedConnection(client, stage)
        case HttpSession() if (inbox := stage.pending_input()) is not None:
            return PackedConnection(client, stage, inbox)
        case _:
            return None


def unpack(proxy: Proxy, state: Mapping[str, Any], fds: list[int]) -> None:
    """Continue a connection in this process, unless the proxy no longer allows it or it has ended meanwhile.

    Raises OSError.
    """
    left = iter(fds)
    client = _client(proxy, state, left)
    origin = None
    if state["origin"] is not None:
        origin = Connection(proxy.reactor, _open_socket(state["origin"], left))
        _restore(origin, state["origin"], left)
    allowed = proxy.suspension is None and allows(proxy.record.access, client.source, client.credentials)
    if client.admitted and (not allowed or proxy.closes(client, origin)):
        _end(client, origin)
        return
    try:
        _start(client, origin, _bytes(state["inbox"]))
    except OSError:
        _end(client, origin)
    except Exception:
        _end(client, origin)
        raise


def _client(proxy: Proxy, state: Mapping[str, Any], fds: Iterator[int]) -> Client:
    proxy.reactor.sources.enter_anyway(state["source"])
    client = Client(proxy.reactor, _open_socket(state["client"], fds), proxy, state["source"])
    if state["admitted"]:
        client.mark_admitted()
    client.credentials = _bytes(state["credentials"])
    client.session = _bytes(state["session"])
    client.destination = Destination(*destination) if (destination := state.get("destination")) else None
    client.has_slot = state["has_slot"]
    proxy.slots_taken += client.has_slot
    if state["has_lease"]:
        proxy.exit.address(client, proxy.reactor.now)
    _restore(client, state["client"], fds)
    return client


def _start(client: Client, origin: Connection | None, inbox: bytes | None) -> None:
    if origin is not None:
        Tunnel(client, origin).start()
    elif inbox is not None:
        HttpSession(client).restore(inbox)
    else:
        client.proxy.begin(client)


def _end(client: Client, origin: Connection | None) -> None:
    if client.stage is not None:
        client.stage.abort()
    client.drop()
    if origin is not None:
        origin.drop()


def _pack(connection: Connection, fds: list[int]) -> PackedState:
    connection.unwatch()
    connection.reactor.fair_queue.forget(connection.fd)
    connection.stop_batching()
    fds.append(connection.fd)
    if connection.pipe is not None:
        fds += (connection.pipe.read, connection.pipe.write)
    return {
        "family": int(connection.sock.family),
        "pipe": connection.pipe.buffered if connection.pipe is not None else None,
        "pending": base64.b64encode(connection.pending).decode(),
        "bulk": bool(connection.bulk),
        "ended": connection.ended,
        "shut": connection.shut,
    }


def _open_socket(state: PackedState, fds: Iterator[int]) -> socket.socket:
    sock = socket.socket(state["family"], socket.SOCK_STREAM, 0, fileno=next(fds))
    sock.setblocking(False)
    return sock


def _restore(connection: Connection, state: PackedState, fds: Iterator[int]) -> None:
    if state["pipe"] is not None:
        connection.pipe = Pipe(next(fds), next(fds))
        connection.pipe.buffered = state["pipe"]
        connection.reactor.pipes.adopt(connection.pipe)
    connection.pending = base64.b64decode(state["pending"])
    connection.bulk, connection.ended, connection.shut = int(state["bulk"]), state["ended"], state["shut"]


def _text(data: bytes | None) -> str | None:
    """Encode arbitrary bytes for JSON."""
    return data.decode("latin-1") if data is not None else None


def _bytes(text: str | None) -> bytes | None:
    return text.encode("latin-1") if text is not None else None
