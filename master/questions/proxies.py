"""What is asked about proxies, and which of them a change by filter is for."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from master.exports import FIELDS, ExportFormat, checked_template
from master.fields import LocationName, NodeName, StackNamed
from master.model.proxies import ProxyState
from master.questions import Labelled, Paging, Question, Text, criteria
from shared.proxies import MAX_BIGINT, EngineName, Id, Port, Protocol

Template = Annotated[Text, AfterValidator(checked_template)]


Raw = Annotated[
    bool,
    Field(
        description="for CSV that a program reads: every value as it is. By default a value that begins with = + - or "
        "@ gets a ' before it, passwords too, so that a spreadsheet does not run it as a formula"
    ),
]


class ProxyFilter(Labelled):
    """Which proxies."""

    location_id: Id | None = None
    location: LocationName = None
    node_id: Id | None = None
    node: NodeName = None
    stack_id: Id | None = None
    stack: StackNamed = None
    protocol: Protocol | None = None
    engine: EngineName | None = None
    enabled: bool | None = None
    state: ProxyState | None = None
    port: Port | None = None
    name: Text | None = None
    username: Text | None = None


class ProxyList(ProxyFilter, Paging):
    """A page of proxies."""


class ProxyExport(ProxyFilter):
    """All proxies that the filter matches, and how they shall be written."""

    format: ExportFormat = "plain"
    template: Template | None = Field(
        default=None,
        description=f"of a line, instead of a format, with any of {', '.join(f'{{{name}}}' for name in FIELDS)}; "
        "braces that stand for themselves are doubled",
        examples=["{host}:{port}:{username}:{password}"],
    )

    raw: Raw = False

    @model_validator(mode="after")
    def one_form(self) -> Self:
        """Raises ValueError for two."""
        if self.template is not None and self.format != "plain":
            raise ValueError("a format or a template, not both")
        return self


class LinkUse(Question):
    """How the proxies of a link that lists are written."""

    raw: Raw = False


class Fleet(ProxyFilter):
    """All proxies that the filter matches, when there are as many as expected."""

    expect: Annotated[int, Field(ge=0, le=MAX_BIGINT, description="how many the filter is expected to match")]
    all: bool = Field(default=False, description="must be true when there is no filter")


def is_unfiltered(question: Fleet) -> bool:
    """Whether nothing at all is filtered by."""
    return not any(value not in (None, []) for value in criteria(question, ProxyFilter).values())
