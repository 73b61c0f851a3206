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

    __slots__ = ("_wires", "client", "fds", "stage", "state")

    def __init__(self, client: Client, stage: Tunnel | HttpSession | ProtocolDetection, inbox: bytes = b"") -> None:
        self.client = client
        self.stage = stage
        self.fds: list[int] = []
        self._wires = (client, stage.origin) if isinstance(stage, Tunnel) else (client,)
        self.state: PackedState = {
            "proxy": client.service.record.id,
            "source": client.source,
            "admitted": client.admitted,
            "seated": client.has_slot,
            "leased": client.lease is not None,
            "credentials": _text(client.credentials),
            "session": _text(client.session),
            "went_to": client.went_to,
            "client": _pack(client, self.fds),
            "origin": _pack(stage.origin, self.fds) if isinstance(stage, Tunnel) else None,
            "inbox": _text(inbox) if isinstance(stage, HttpSession) else None,
        }
        client.stage = self

    @property
    def owner(self) -> object:
        return self.client.service

    def ready(self, fd: int, events: int) -> None:
        """Nothing is watched."""

    def go_on(self) -> None:
        """It stays here after all, unless it was closed meanwhile."""
        client, stage = self.client, self.stage
        if client.stage is not self:
            return
        for wire in self._wires:
            wire.sock = Reclaimed(client.reactor.epoll, wire.sock)
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
        for wire in self._wires:
            close_copy(wire.sock)
        self.client.stage = self.stage
        self.stage.close()

    def broken(self) -> None:
        self.close()


def pack(client: Client) -> PackedConnection | None:
    """The connection packed; None when it cannot be moved as long as it does what it does now."""
    stage = client.stage
    match stage:
        case Tunnel() | ProtocolDetection():
            return PackedConnection(client, stage)
        case HttpSession() if (inbox := stage.between_requests()) is not None:
            return PackedConnection(client, stage, inbox)
        case _:
            return None


def unpack(service: Proxy, state: Mapping[str, Any], fds: list[int]) -> None:
    """The connection goes on in this process, unless the proxy does not allow it any more, or it has ended meanwhile.

    Raises OSError.
    """
    left = iter(fds)
    client = _client(service, state, left)
    origin = None
    if state["origin"] is not None:
        origin = Connection(service.reactor, _socket(state["origin"], left))
        _restore(origin, state["origin"], left)
    allowed = service.held is None and allows(service.record.access, client.source, client.credentials)
    if client.admitted and (not allowed or service.closes(client, origin)):
        _end(client, origin)
        return
    try:
        _go_on(client, origin, _bytes(state["inbox"]))
    except OSError:
        _end(client, origin)
    except Exception:
        _end(client, origin)
        raise


def _client(service: Proxy, state: Mapping[str, Any], fds: Iterator[int]) -> Client:
    service.reactor.sources.enter_anyway(state["source"])
    client = Client(service.reactor, _socket(state["client"], fds), service, state["source"])
    if state["admitted"]:
        client.let_in()
    client.credentials = _bytes(state["credentials"])
    client.session = _bytes(state["session"])
    client.went_to = Destination(*went_to) if (went_to := state.get("went_to")) else None
    client.has_slot = state["seated"]
    service.slots_taken += client.has_slot
    if state["leased"]:
        service.exit.address(client, service.reactor.now)
    _restore(client, state["client"], fds)
    return client


def _go_on(client: Client, origin: Connection | None, inbox: bytes | None) -> None:
    if origin is not None:
        Tunnel(client, origin).start()
    elif inbox is not None:
        HttpSession(client).go_on(inbox)
    else:
        client.service.begin(client)


def _end(client: Client, origin: Connection | None) -> None:
    if client.stage is not None:
        client.stage.broken()
    client.drop()
    if origin is not None:
        origin.drop()


def _pack(wire: Connection, fds: list[int]) -> PackedState:
    wire.unwatch()
    wire.reactor.turns.forget(wire.fd)
    wire.scatter()
    fds.append(wire.fd)
    if wire.pipe is not None:
        fds += (wire.pipe.read, wire.pipe.write)
    return {
        "family": int(wire.sock.family),
        "pipe": wire.pipe.held if wire.pipe is not None else None,
        "pending": base64.b64encode(wire.pending).decode(),
        "bulk": bool(wire.bulk),
        "ended": wire.ended,
        "shut": wire.shut,
    }


def _socket(state: PackedState, fds: Iterator[int]) -> socket.socket:
    sock = socket.socket(state["family"], socket.SOCK_STREAM, 0, fileno=next(fds))
    sock.setblocking(False)
    return sock


def _restore(wire: Connection, state: PackedState, fds: Iterator[int]) -> None:
    if state["pipe"] is not None:
        wire.pipe = Pipe(next(fds), next(fds))
        wire.pipe.held = state["pipe"]
        wire.reactor.pipes.adopt(wire.pipe)
    wire.pending = base64.b64decode(state["pending"])
    wire.bulk, wire.ended, wire.shut = int(state["bulk"]), state["ended"], state["shut"]


def _text(data: bytes | None) -> str | None:
    """Any bytes as JSON can carry them."""
    return data.decode("latin-1") if data is not None else None


def _bytes(text: str | None) -> bytes | None:
    return text.encode("latin-1") if text is not None else None
