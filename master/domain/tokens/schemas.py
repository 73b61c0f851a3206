"""The bodies, queries and resources of tokens."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from master.schemas.access import FLEET_SCOPES, SCOPES, TokenFilter, TokenScope
from master.schemas.base import RequestBody, Resource, omitted
from master.schemas.fields import Name, Networks, distinct
from master.schemas.pages import Page
from master.schemas.sorting import SortById, Sorted
from master.schemas.timestamps import LenientTimestamp

SETTING = "API_TOKEN"
"""The name of the token that the setting of this name gives."""
TOKEN: dict[str, JsonValue] = {
    "id": 2,
    "name": "shop",
    "scopes": ["read", "rotate"],
    "filter": {"label": "customer:7", "stack": None, "location": None},
    "allow_ips": ["203.0.113.0/24"],
    "expires_at": None,
    "last_used_at": "2026-05-01T09:30:00Z",
    "last_used_ip": "203.0.113.9",
    "created_by": "token admin",
    "created_at": "2026-05-01T09:00:00Z",
}
"""An example."""
SCOPES_WORDS = (
    "`read`: read everything but secrets. `secrets`: see passwords, export, and create links. `write`: create, change "
    "and remove. `rotate`: rotate proxies. `check`: check proxies. `enrol`: enrol and replace nodes, and invite them. "
    "`upgrade`: upgrade nodes. `metrics`: read /metrics and /health/report. `admin`: everything, tokens included."
)
ALLOW_WORDS = "Addresses and networks from which it is accepted: those of whoever connects. Empty: any."
EXPIRES_WORDS = "The time from which it is refused. It must lie in the future. null: never."


def free_name(name: str) -> str:
    """Return the name. Raises ValueError for that of the setting."""
    if name == SETTING:
        raise ValueError(f"{SETTING} is the name of the token that this setting of a master gives")
    return name


TokenName = Annotated[Name, AfterValidator(free_name)]
Scopes = Annotated[
    list[TokenScope], Field(min_length=1, max_length=len(SCOPES), description=SCOPES_WORDS), AfterValidator(distinct)
]


class NewToken(RequestBody):
    """A token to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "admin", "scopes": ["admin"]},
                {"name": "shop", "scopes": ["read", "rotate"], "filter": {"label": "customer:7"}},
            ]
        }
    )

    name: TokenName = Field(description="Unique among tokens. Events name it as their actor.")
    scopes: Scopes
    filter: TokenFilter | None = Field(
        default=None,
        description="The part of the fleet that the token is for; everything else does not exist for it. A token with "
        "a filter has only the scopes `read`, `secrets`, `write`, `rotate` and `check`. null: the whole fleet.",
    )
    allow_ips: Networks = Field(default_factory=list[str], description=ALLOW_WORDS)
    expires_at: LenientTimestamp | None = Field(default=None, description=EXPIRES_WORDS)

    @model_validator(mode="after")
    def fits_its_filter(self) -> Self:
        """Raises ValueError."""
        others = [one for one in self.scopes if one not in FLEET_SCOPES]
        if self.filter is not None and others:
            raise ValueError(f"a token with a filter cannot have {', '.join(others)}: that is about the whole system")
        return self


class TokenPatch(RequestBody):
    """A change of a token; omitted members stay as they are. For other scopes or another filter create a new token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow_ips": ["203.0.113.9"], "expires_at": None}]})

    name: TokenName = Field(default_factory=omitted)
    allow_ips: Networks = Field(default_factory=omitted, description=ALLOW_WORDS)
    expires_at: LenientTimestamp | None = Field(default_factory=omitted, description=EXPIRES_WORDS)


class TokenList(Sorted[SortById]):
    """A page of tokens."""


class Token(Resource):
    """A token without the text that is sent, which is not stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [TOKEN]})

    id: int
    name: str = Field(description="The name that events have, as in `token shop`.")
    scopes: list[TokenScope] = Field(description=SCOPES_WORDS)
    filter: TokenFilter | None = Field(description="The part of the fleet that it is for. null: all of it.")
    allow_ips: list[str] = Field(description=ALLOW_WORDS)
    expires_at: datetime | None = Field(description="null: never.")
    last_used_at: datetime | None = Field(description="The time of the last use, to the minute. null: never used.")
    last_used_ip: str | None = Field(description="The address from which it was used then.")
    created_by: str = Field(description="The actor that created it, as in events.")
    created_at: datetime


class TokenCreated(Token):
    """A token that was just created, with the text that is sent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**TOKEN, "token": "mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7aj"}]}
    )

    token: str = Field(repr=False, description="What a client sends: `Authorization: Bearer mp_...`. Shown this once.")


class CurrentToken(Resource):
    """What the request that asks may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 2,
                    "name": "shop",
                    "scopes": ["read", "rotate"],
                    "filter": {"label": "customer:7", "stack": None, "location": None},
                }
            ]
        }
    )

    id: int | None = Field(description="null: the request has no token, and needs none because the API is open.")
    name: str | None = Field(description="null without a token.")
    scopes: list[TokenScope] = Field(description="`admin` has all others.")
    filter: TokenFilter | None = Field(description="The part of the fleet that it sees. null: all of it.")


class TokenPage(Page[Token]):
    """A page of tokens."""
