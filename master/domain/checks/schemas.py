"""Checks: what may be asked, and what was found."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from master.schemas.base import RequestBody, Resource

CheckStep = Literal["connect", "login", "destination", "answer"]


def http_url(text: str) -> str:
    """The URL, when a check can ask for it. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("an http or https URL without a login")
    if re.search(r"[^\x21-\x7e]", text):
        raise ValueError("a URL has printable ASCII characters only")
    return text


class CheckRequest(RequestBody):
    """Go through the proxy once."""

    target: Annotated[str, Field(max_length=2048), AfterValidator(http_url)] | None = Field(
        default=None, description='http or https URL; an address in its answer, bare or as {"ip": ...}, is the exit_ip'
    )


class Check(Resource):
    """How far a connection through the proxy came."""

    ok: bool
    latency_ms: float = Field(description="from the beginning to the destination's answer, or to what failed")
    exit_ip: str | None = Field(description="the address that the destination saw")
    failed_step: CheckStep | None = Field(
        description="connect: to the proxy; login; destination: from the proxy to the target; answer: of the target"
    )
    reason: str | None
