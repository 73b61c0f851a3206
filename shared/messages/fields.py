"""Field types that bodies of messages share, and the base of their models."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.proxies import MAX_BIGINT

CountField = Annotated[int, Field(ge=0, le=MAX_BIGINT)]
Rev = CountField
Reason = Annotated[str, Field(max_length=300)]
Short = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
"""Text without NUL, which PostgreSQL cannot store."""
StateName = Annotated[str, Field(pattern=r"^[a-z_]{0,32}$")]
"""The name of a state, which may be one that only a newer node knows."""


class MessageModel(BaseModel):
    """Base of all models of messages. Unknown members are ignored, since a newer sender may add some. Validators are
    built at the first use: a node starts its proxies before it reads any message."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", hide_input_in_errors=True)
