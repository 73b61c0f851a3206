"""Encodes resources as the answers of handlers."""

from collections.abc import Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.serialization import default_serializer

from master.schemas.base import Resource
from master.schemas.media_types import MediaType

T = TypeVar("T")
R = TypeVar("R", bound=Resource)


class ResourceResponse(Response[T]):
    """An answer whose content is a resource, encoded by pydantic as the OpenAPI document describes it."""

    def render(self, content: Any, media_type: str, enc_hook: Any = default_serializer) -> bytes:
        """Encode the content."""
        if isinstance(content, Resource):
            return content.model_dump_json().encode()
        return super().render(content, media_type, enc_hook)


def respond(resource: R, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[R]:
    """Answer with this resource, where the status or the headers are not those of the route."""
    return ResourceResponse(resource, status_code=status, media_type=MediaType.JSON, headers=dict(headers or {}))
