"""What the master keeps, as its API shows it: made out of rows."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

Row = Mapping[str, Any]


class Shown(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
