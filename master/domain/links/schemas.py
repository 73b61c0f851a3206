"""The bodies, queries and resources of links."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from master.domain.proxies.export.template import ExportFormat
from master.domain.proxies.schemas import ExportTemplate, ProxyFilter
from master.domain.rotation.schemas import RotateRequest
from master.schemas.access import TokenFilter
from master.schemas.base import DescribedAs, RequestBody, Resource
from master.schemas.pages import Page
from master.schemas.sorting import SortById, Sorted
from master.schemas.timestamps import LenientTimestamp

LinkKind = Literal["list", "rotate"]


MOST_INTERVAL_S = 31 * 86_400
LINK: dict[str, JsonValue] = {
    "id": 1,
    "kind": "list",
    "filter": {"location_id": [1], "state": ["running"]},
    "rotate": None,
    "format": "plain",
    "template": None,
    "min_interval_s": 0,
    "expires_at": None,
    "used_at": None,
    "created_at": "2026-05-01T09:30:00Z",
    "token_filter": None,
}
"""An example."""


class NewLink(RequestBody):
    """A link to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "list", "filter": {"location_id": 1, "state": "running"}},
                {"kind": "rotate", "filter": {"name": "mine"}, "rotate": {"what": ["exit"]}, "min_interval_s": 30},
            ]
        }
    )

    kind: LinkKind = Field(
        description="`list`: it lists the proxies that the filter matches, as GET /proxies/export does. `rotate`: it "
        "begins to rotate them."
    )
    filter: ProxyFilter = Field(
        default_factory=ProxyFilter, description="The proxies of the link, as in the list of proxies. Default: all."
    )
    rotate: RotateRequest | None = Field(
        default=None, description="The rotation, as in POST /proxies/{proxy_id}/rotate; for `rotate` only."
    )
    format: ExportFormat = Field(default="plain", description="The format of the list.")
    template: ExportTemplate | None = Field(default=None, description="The form of a line, instead of `format`.")
    min_interval_s: int = Field(
        default=0, ge=0, le=MOST_INTERVAL_S, description="The least seconds between two uses, by anybody."
    )
    expires_at: LenientTimestamp | None = Field(
        default=None, description="The time from which the link answers 404. It must lie in the future. null: never."
    )

    @model_validator(mode="after")
    def says_how(self) -> Self:
        """Raises ValueError."""
        if (self.kind == "rotate") != (self.rotate is not None):
            raise ValueError("rotate is given for links that rotate, and for no others")
        return self


class Link(Resource):
    """A link without its secret, which is not stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [LINK]})

    id: int
    kind: LinkKind = Field(description="`list`: it lists proxies. `rotate`: it begins to rotate them.")
    filter: Annotated[dict[str, Any], DescribedAs(ProxyFilter)] = Field(description="The proxies of the link.")
    rotate: Annotated[dict[str, Any], DescribedAs(RotateRequest)] | None = Field(description="null unless it rotates.")
    format: ExportFormat = Field(description="The format of the list.")
    template: str | None = Field(description="The form of a line, instead of `format`.")
    min_interval_s: int = Field(description="The least seconds between two uses.")
    expires_at: datetime | None = Field(description="null: never.")
    used_at: datetime | None = Field(description="The time of the last use. null: it was never used.")
    created_at: datetime
    token_filter: Annotated[dict[str, Any], DescribedAs(TokenFilter)] | None = Field(
        description="The filter of the token that made the link, which holds for each use, too. null: it had none."
    )


class LinkList(Sorted[SortById]):
    """A page of links."""


class LinkCreated(Link):
    """A link that was just created, with its secret."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **LINK,
                    "path": "/l/Zk3v9x2mQ7pL0sT4bN8cR1wY6dH5jF",
                    "url": "https://master.example.com/l/Zk3v9x2mQ7pL0sT4bN8cR1wY6dH5jF",
                }
            ]
        }
    )

    path: str = Field(repr=False, description="The path of the link, with its secret. It is shown this once.")
    url: str = Field(repr=False, description="The address of the link, with its secret. It is shown this once.")


class LinkPage(Page[Link]):
    """A page of links."""
