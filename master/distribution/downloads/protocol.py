"""uvicorn's HTTP/1.1 for clients that nobody knows: bounded connections, and no time for slow ones."""

import asyncio
import logging

from uvicorn.protocols.http.h11_impl import H11Protocol

from master.distribution.downloads.limits import Connections, client_of

HEAD_S = 10.0
"""Longest time for the head of a request to arrive."""
STALL_S = 30.0
"""Longest time in which a client hardly reads: until the buffer, of 64 KiB and a piece, is drained to a quarter."""
HEAD_LIMIT = 16_384
QUIET = logging.getLogger("uvicorn.downloads")
"""Without the warning for each unreadable request, since anyone could fill the log."""
QUIET.setLevel(logging.ERROR)


class DownloadProtocol(H11Protocol):
    """One connection. Those above the limits, without a request and with a stalled answer are reset."""

    connections_of: Connections
    head_s, stall_s = HEAD_S, STALL_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Count the connection."""
        super().connection_made(transport)
        self.logger = QUIET
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._counted_as = client_of(self.client[0]) if self.client else None
        self._is_counted = self.connections_of.open(self._counted_as)
        if self._is_counted:
            self._await_head()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count one less."""
        super().connection_lost(exc)
        for timer in (self._head, self._stall):
            if timer is not None:
                timer.cancel()
        if self._is_counted:
            self._is_counted = False
            self.connections_of.close(self._counted_as)

    def data_received(self, data: bytes) -> None:
        """Read in pieces, since h11 limits only a head whose end is missing. A request stops the clock."""
        for start in range(0, len(data), HEAD_LIMIT):
            if not self.transport.is_closing():
                super().data_received(data[start : start + HEAD_LIMIT])
        if self.cycle and not self.cycle.response_complete:
            self._stop_head()

    def on_response_complete(self) -> None:
        """Start it again, unless the next request is there already."""
        super().on_response_complete()
        if not self.cycle or self.cycle.response_complete:
            self._await_head()

    def pause_writing(self) -> None:
        """Give the client time to read on."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Let it go on."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def _await_head(self) -> None:
        self._stop_head()
        self._head = self.loop.call_later(self.head_s, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def download_protocol(connections: Connections) -> type[DownloadProtocol]:
    """Return the protocol of one listener, which counts its connections."""
    return type("ListenerProtocol", (DownloadProtocol,), {"connections_of": connections})
