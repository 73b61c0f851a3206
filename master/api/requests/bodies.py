"""Decodes request bodies strictly, in place of the framework's own decoding, which is too lax.

Out of the box Litestar 2.25 validates pydantic models with `strict=False` ("5" passes for a port), takes text/plain as
JSON, keeps the last of duplicate members and answers deep nesting with 500.
"""

from collections.abc import Generator
from typing import Any, TypeVar, cast

from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.plugins import SerializationPlugin
from litestar.typing import FieldDefinition

from master.api.requests.reading import read_body
from master.schemas.base import RequestBody

B = TypeVar("B", bound=RequestBody)


class StrictBody(AbstractDTO[B]):
    """The body of one handler, as the type of its parameter `data` demands."""

    def decode_bytes(self, value: bytes) -> B:
        """Decode a body that is not empty. Raises NotJson, BadRequest, Invalid."""
        headers = self.asgi_connection.headers  # pyright: ignore[reportUnknownMemberType] # of any connection
        return read_body(value, headers.get("content-type", ""), self.model_type)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Make nothing: pydantic decodes the model, so there is no intermediate type."""

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition]:
        """Name no fields, for the same reason."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Find no nested field, for the same reason."""
        return False


class StrictBodies(SerializationPlugin):
    """Gives every handler whose `data` is a request body the strict decoding."""

    def supports_type(self, field_definition: FieldDefinition) -> bool:
        """Whether this is a request body."""
        return field_definition.is_subclass_of(RequestBody)

    def create_dto_for_type(self, field_definition: FieldDefinition) -> type[AbstractDTO[Any]]:
        """Return the decoder of this body."""
        return cast("Any", StrictBody.__class_getitem__(field_definition.annotation))
