"""What of a connection crosses over to another process, and how it goes on there or, after all, here."""

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
"""Plain JSON; the descriptors go beside it, in the order in which they are added here."""


class PackedConnection:
    """The stage of a connection that is on its way: nothing reads or writes it here meanwhile."""

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
            "seated": client.has_slot,
            "leased": client.lease is not None,
            "credentials": _text(client.credentials),
            "session": _text(client.session),
            "went_to": client.destination,
            "client": _pack(client, self.fds),
            "origin": _pack(stage.origin, self.fds) if isinstance(stage, Tunnel) else None,
            "inbox": _text(inbox) if isinstance(stage, HttpSession) else None,
        }
        client.stage = self

    @property
    def owner(self) -> object:
        return self.client.proxy

    def ready(self, fd: int, events: int) -> None:
        """Nothing is watched."""

    def resume(self) -> None:
        """It stays here after all, unless it was closed meanwhile."""
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
        """Here alone: whoever has the same descriptors goes on undisturbed."""
        for connection in self._connections:
            close_copy(connection.sock)
        self.client.stage = self.stage
        self.stage.close()

    def abort(self) -> None:
        self.close()


def pack(client: Client) -> PackedConnection | None:
    """The connection packed; None when it cannot be moved as long as it does what it does now."""
    stage = client.stage
    match stage:
        case Tunnel() | ProtocolDetection():
            return PackedConnection(client, stage)
        case HttpSession() if (inbox := stage.pending_input()) is not None:
            return PackedConnection(client, stage, inbox)
        case _:
            return None


def unpack(proxy: Proxy, state: Mapping[str, Any], fds: list[int]) -> None:
    """The connection goes on in this process, unless the proxy does not allow it any more, or it has ended meanwhile.

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
    client.destination = Destination(*went_to) if (went_to := state.get("went_to")) else None
    client.has_slot = state["seated"]
    proxy.slots_taken += client.has_slot
    if state["leased"]:
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
    """Any bytes as JSON can carry them."""
    return data.decode("latin-1") if data is not None else None


def _bytes(text: str | None) -> bytes | None:
    return text.encode("latin-1") if text is not None else None
