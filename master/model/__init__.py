"""What the master keeps, as its API shows it: made out of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

Row = Mapping[str, Any]

SAID_AS = "said_as"


class Shown(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class SaidAs:
    """Marks stored JSON that is shown as it was given: the OpenAPI document describes it by the body's model."""

    body: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Keep the body in the metadata, for the generator of the document."""
        schema: Any = handler(source)
        schema["metadata"] = {**schema.get("metadata", {}), SAID_AS: self.body}
        return schema
