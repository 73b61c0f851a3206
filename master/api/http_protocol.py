"""HTTP/1.1 as uvicorn speaks it, but that what is no HTTP is answered like every other error."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from master.api.middleware import SAFETY
from master.api.problems import problem
from master.errors import BadRequest
from master.schemas.media_types import MediaType


class HttpProtocol(H11Protocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """A problem document, with the headers that every answer has; the connection ends."""
        body = problem(BadRequest, "the request breaks a rule of HTTP (RFC 9112)").content
        headers = [(b"content-type", MediaType.PROBLEM.encode()), (b"connection", b"close"), *SAFETY.items()]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
