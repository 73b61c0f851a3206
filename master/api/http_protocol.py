"""uvicorn's HTTP/1.1, except that malformed requests are answered with a problem document, too."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from master.api.middleware import SAFETY
from master.api.problems import problem
from master.errors import BadRequest
from master.schemas.media_types import MediaType


class HttpProtocol(H11Protocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem document and the headers that every answer has, then close the connection."""
        body = problem(BadRequest, "the request breaks a rule of HTTP (RFC 9112)").content
        headers = [(b"content-type", MediaType.PROBLEM.encode()), (b"connection", b"close"), *SAFETY.items()]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
