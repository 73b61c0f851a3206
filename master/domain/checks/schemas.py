"""The bodies and resources of checks."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field

from master.domain.proxies.proxy_parts import CHECK, Check
from master.domain.proxies.schemas import FleetFilter
from master.schemas.base import RequestBody, Resource

MAX_CHECKED = 500
"""The most proxies that one request checks."""


def http_url(text: str) -> str:
    """Return the URL if a check can request it. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("an http or https URL without a login")
    if re.search(r"[^\x21-\x7e]", text):
        raise ValueError("a URL has printable ASCII characters only")
    return text


class CheckRequest(RequestBody):
    """The options of a check."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"target": "http://127.0.0.1:9/ip"}]})

    target: Annotated[str, Field(max_length=2048), AfterValidator(http_url)] | None = Field(
        default=None,
        description='The http or https URL to request. If its answer is an address, bare or as `{"ip": ...}`, the '
        "address is the `exit_ip`. Default: see the operation.",
    )


class FleetCheckQuery(FleetFilter):
    """All proxies that the filter matches, to check."""

    expect: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_CHECKED,
            description="The number of proxies that the filter is expected to match. If it matches another number, "
            "nothing is done.",
        ),
    ]


class CheckedProxy(Resource):
    """A proxy and its check."""

    proxy_id: int
    check: Check


class FleetCheck(Resource):
    """The checks of all proxies that a filter matched, ordered by id."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ok": 1, "failed": 0, "items": [{"proxy_id": 17, "check": CHECK}]}]}
    )

    ok: int = Field(description="The number of checks that succeeded.")
    failed: int = Field(description="The number of checks that failed.")
    items: list[CheckedProxy]
