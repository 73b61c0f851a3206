"""Reads a text to search for. Pure."""

import re
from dataclasses import dataclass

from shared.proxies import MAX_BIGINT

AFTER_ALL = "\U0010ffff"
"""The last character: texts with a prefix lie between the prefix and the prefix with this."""
ENDPOINT = re.compile(r"\[?([0-9A-Za-z.:_-]+?)\]?:([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """A text in lower case, the id that it may be, and the host and port that it may be."""

    text: str
    id: int | None
    host: str | None
    port: int | None

    @property
    def end(self) -> str:
        """The end of all texts that begin with this one, in byte order."""
        return self.text + AFTER_ALL


def read_terms(q: str) -> Terms:
    """Read a text such as "fra", "17", "10.0.0.1:20004" or "[2001:db8::1]:20004"."""
    text = q.strip().lower()
    id_ = int(text) if re.fullmatch("[1-9][0-9]{0,18}", text) else None
    endpoint = ENDPOINT.fullmatch(text)
    host, port = (endpoint[1], int(endpoint[2])) if endpoint else (None, None)
    return Terms(text=text, id=id_ if id_ is not None and id_ <= MAX_BIGINT else None, host=host, port=port)
