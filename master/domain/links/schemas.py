"""Links, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from master.domain.proxies.export_template import ExportFormat
from master.domain.proxies.schemas import ExportTemplate, ProxyFilter
from master.domain.rotation.schemas import RotateRequest
from master.schemas.base import DescribedAs, Paging, RequestBody, Resource
from master.schemas.pages import Page
from master.schemas.timestamps import LenientTimestamp

LinkKind = Literal["list", "rotate"]


MOST_INTERVAL_S = 31 * 86_400


class NewLink(RequestBody):
    """What a link gives to whoever has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "list", "filter": {"location_id": 1, "state": "running"}},
                {"kind": "rotate", "filter": {"name": "mine"}, "rotate": {"what": ["exit"]}, "min_interval_s": 30},
            ]
        }
    )

    kind: LinkKind = Field(
        description="list: the proxies that the filter matches, as GET /proxies/export gives them; rotate: begins to "
        "rotate them all"
    )
    filter: ProxyFilter = Field(default_factory=ProxyFilter, description="as in the list of proxies")
    rotate: RotateRequest | None = Field(default=None, description="how, as in POST /proxies/{id}/rotate")
    format: ExportFormat = "plain"
    template: ExportTemplate | None = Field(default=None, description="instead of a format")
    min_interval_s: int = Field(default=0, ge=0, le=MOST_INTERVAL_S, description="between two uses, by anybody")
    expires_at: LenientTimestamp | None = Field(default=None, description="in the future; null: never")

    @model_validator(mode="after")
    def says_how(self) -> Self:
        """Raises ValueError."""
        if (self.kind == "rotate") != (self.rotate is not None):
            raise ValueError("rotate is given for links that rotate, and for no others")
        return self


class Link(Resource):
    """A link without its secret, which is not kept."""

    id: int
    kind: LinkKind
    filter: Annotated[dict[str, Any], DescribedAs(ProxyFilter)]
    rotate: Annotated[dict[str, Any], DescribedAs(RotateRequest)] | None
    format: ExportFormat
    template: str | None
    min_interval_s: int
    expires_at: datetime | None
    used_at: datetime | None = Field(description="the last time")
    created_at: datetime


class LinkList(Paging):
    """A page of links."""


class LinkCreated(Link):
    """A link that has just been made."""

    path: str = Field(repr=False, description="of the link on this API, secret and all; it is shown this once")
    url: str = Field(repr=False, description="the same as seen by whoever asked for it")


class LinkPage(Page[Link]):
    """A page of links, ordered by id."""
