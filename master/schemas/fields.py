"""Types of the fields of bodies and query strings."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field

from shared.destinations import canonical_host, canonical_ports
from shared.proxies import CanonicalNetwork, Id, Port
from shared.release.versions import version_order

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters and Unicode's line separators: refused in texts that are shown in lines."""
PRINTABLE = rf"^[^{CONTROLS}]*$"


LABEL_LETTERS = 100
"""The most characters of a label that an error repeats."""


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


ID_BY_NAME: Mapping[str, str] = {
    "location": "location_id",
    "locations": "location_ids",
    "node": "node_id",
    "nodes": "node_ids",
    "stack": "stack_id",
    "not_location": "not_location_id",
    "not_node": "not_node_id",
    "not_stack": "not_stack_id",
}
"""Fields that hold names, and those with ids that they stand for."""


def label_members(said: Any) -> Any:
    """The same, unless it is text or a list of it, as labels are often written. Raises ValueError with an example."""
    if not isinstance(said, str | list):
        return said
    text = said if isinstance(said, str) else str(next(iter(cast("list[object]", said)), ""))
    key, mark, value = text.partition(":") if ":" in text else text.partition("=")
    example = {key: value} if key and mark and len(text) <= LABEL_LETTERS else {"customer": "7"}
    raise ValueError(f"labels are an object of texts, for example {json.dumps(example)}")


def known_version(text: str) -> str:
    """The same. Raises ValueError unless it is a version of the product."""
    version_order(text)
    return text


def distinct(items: list[Any]) -> list[Any]:
    """Each item once, in the order of its first coming."""
    return list(dict.fromkeys(items))


Name = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=rf"^[^{CONTROLS}\s]([^{CONTROLS}]*[^{CONTROLS}\s])?$"),
]
Country = Annotated[
    str, Field(pattern=r"^[A-Z]{2}$", description="The country code, as in ISO 3166-1 alpha-2.", examples=["DE"])
]
LabelKey = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^[^{CONTROLS}:]+$")]
LabelValue = Annotated[str, Field(max_length=255, pattern=PRINTABLE)]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    BeforeValidator(label_members),
    Field(max_length=64, description="Texts of your choice by name, to filter by. Default: none."),
]
LabelPatch = Annotated[
    dict[LabelKey, LabelValue | None],
    BeforeValidator(label_members),
    Field(
        max_length=64,
        description="Labels to merge into the existing ones. A label whose value is null is removed (RFC 7396).",
    ),
]
PlainVersion = Annotated[
    str,
    Field(max_length=30, examples=["0.2.0"], description="A version of the product, such as 0.2.0 or 0.2.0rc1."),
    AfterValidator(known_version),
]
PortRange = Annotated[
    str, Field(pattern=r"^[0-9]{1,5}-[0-9]{1,5}$", examples=["20000-29999"]), AfterValidator(port_range)
]
PortList = Annotated[
    list[Port | PortRange],
    Field(max_length=100, examples=[[25, "6881-6999"]]),
    AfterValidator(lambda ports: list(canonical_ports(ports))),
]
Hosts = Annotated[
    list[Annotated[str, Field(max_length=253), AfterValidator(canonical_host)]],
    Field(max_length=256, examples=[["example.com", "192.0.2.0/24"]]),
    AfterValidator(distinct),
]
Networks = Annotated[list[CanonicalNetwork], Field(max_length=256), AfterValidator(distinct)]
Overlap = Annotated[int, Field(ge=0, le=604_800)]
NodeIds = Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
Names = Annotated[list[Name], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
LocationName = Annotated[Name | None, Field(description="The name of the location, instead of `location_id`.")]
NodeName = Annotated[Name | None, Field(description="The name of the node, instead of `node_id`.")]
StackNamed = Annotated[Name | None, Field(description="The name of the stack, instead of `stack_id`.")]
LocationNames = Annotated[Names | None, Field(description="The names of the locations, instead of `location_ids`.")]
NodeNames = Annotated[Names | None, Field(description="The names of the nodes, instead of `node_ids`.")]
