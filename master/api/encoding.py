"""Makes raw answers; the only module that sets content types."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from litestar import Response
from litestar.response import Stream
from litestar.response.base import ASGIResponse

from master.schemas.media_types import MediaType


class Bodiless(Response[bytes]):
    """An answer without a body, hence without a content type: a client would try to read one as JSON."""

    def to_asgi_response(self, *args: Any, **more: Any) -> ASGIResponse:
        """Make the answer, and take back the content type that the framework gives to every answer."""
        made = super().to_asgi_response(*args, **more)  # pyright: ignore[reportUnknownMemberType] # of any Request
        if "content-type" in made.headers:
            del made.headers["content-type"]
        return made


def written(
    content: bytes, media_type: MediaType, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """Answer with this body. Litestar adds `charset=utf-8` to every text/* type, so no media type carries its own."""
    return Response(content, status_code=status, media_type=media_type, headers=dict(headers or {}))


def streamed(pieces: AsyncGenerator[bytes], media_type: MediaType, headers: Mapping[str, str] | None = None) -> Stream:
    """Answer 200 with a body that is written piece by piece; the charset is added as in `written`."""
    return Stream(pieces, media_type=media_type, headers=dict(headers or {}))


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Answer with a status and headers alone."""
    return Bodiless(b"", status_code=status, headers=dict(headers or {}))
