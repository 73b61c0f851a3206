"""What single fields of bodies and query strings may say."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer

from shared.proxies import Id, Network

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


def instant(moment: datetime) -> datetime:
    """In UTC. Raises ValueError at the ends of the calendar."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a moment in the years 1 to 9999 (UTC)") from error


def rfc_3339(moment: datetime) -> str:
    """As it is kept and told: 2026-11-22T20:00:00Z."""
    return moment.isoformat().replace("+00:00", "Z")


def port_range(text: str) -> str:
    """The range "from-to" in its canonical spelling. Raises ValueError."""
    low, high = port_bounds(text)
    if not 1 <= low <= high <= 65535:
        raise ValueError("a range of ports begins at 1 or above, ends at 65535 or below, and does not run backwards")
    return f"{low}-{high}"


def port_bounds(ports: str) -> tuple[int, int]:
    """The ends of "from-to"."""
    low, _, high = ports.partition("-")
    return int(low), int(high)


def distinct(items: list[Any]) -> list[Any]:
    """Each item once, in the order of its first coming."""
    return list(dict.fromkeys(items))


Name = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f\s]([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?$"),
]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["DE"])]
LabelKey = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f:]+$")]
LabelValue = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
LabelPatch = Annotated[
    dict[LabelKey, LabelValue | None],
    Field(max_length=64, description="merged into what there is; null removes a label (RFC 7396)"),
]
PortRange = Annotated[
    str, Field(pattern=r"^[0-9]{1,5}-[0-9]{1,5}$", examples=["20000-29999"]), AfterValidator(port_range)
]
Networks = Annotated[list[Network], Field(max_length=256), AfterValidator(distinct)]
Instant = Annotated[AwareDatetime, AfterValidator(instant), PlainSerializer(rfc_3339, return_type=str)]
Moment = Annotated[AwareDatetime, AfterValidator(instant)]
Overlap = Annotated[int, Field(ge=0, le=604_800)]
NodeIds = Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
