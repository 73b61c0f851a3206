"""The bodies that the API takes: new things and changes of things, each strict about what it is given."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def not_given() -> Any:
    """Stands for a member that was left out; only `model_fields_set` tells."""
    return None


class Wish(BaseModel):
    """A JSON body: nothing unknown, nothing of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """The members that were really in the body."""
        return self.model_dump(exclude_unset=True)
