"""The bodies and resources of checks."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field

from master.schemas.base import RequestBody, Resource

CheckStep = Literal["connect", "login", "destination", "answer"]


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


class Check(Resource):
    """How far a connection through the proxy came."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ok": True, "latency_ms": 41.7, "exit_ip": "203.0.113.7", "failed_step": None, "reason": None}
            ]
        }
    )

    ok: bool = Field(description="Whether the target answered.")
    latency_ms: float = Field(description="Milliseconds from the start to the target's answer, or to the failure.")
    exit_ip: str | None = Field(description="The address that the target saw, if it reports it.")
    failed_step: CheckStep | None = Field(
        description="The step that failed. `connect`: to the proxy. `login`: at the proxy. `destination`: from the "
        "proxy "
        "to the target. `answer`: of the target."
    )
    reason: str | None = Field(description="Why the step failed.")
