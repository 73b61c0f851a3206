"""Adds up usage from lines of 3proxy's log, without I/O."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from node.engine.three_proxy.configuration import READY

LINE = re.compile(rb"=(\d{5}) (\d+) (\d+) (.*)")
"""A line in `LOG_FORMAT`. The initial mark keeps a line that a full file cut short from being joined with the next
one."""

REFUSALS = {1: "destination", 3: "source", **dict.fromkeys(range(4, 9), "login"), 10: "limit"}
"""By result code: 1 for a rule that denies, 3 if no rule allows, 4-8 for the login, 10 for a limit. All others belong
to connections that were served, even if their destination did not answer."""

SERVICE_WORDS = {READY.encode(), b"Failed", b"failed", b"Memory"}
"""The first words of 3proxy's own messages; others begin with a name and a colon."""


class Counts(BaseModel):
    """The usage of one process, up to `offset` of its log.

    `received_bytes` came from clients, `sent_bytes` went to them. `connections` counts every request of an HTTP
    connection, because 3proxy logs each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    connections: int = 0
    refused: Mapping[str, int] = {}

    @property
    def nothing(self) -> bool:
        return not (self.received_bytes or self.sent_bytes or self.connections or self.refused)


def add_block(before: Counts, block: bytes) -> Counts:
    """Add the complete lines of the block, which starts at `offset`; an incomplete last line is left for the next
    call."""
    whole = block.rfind(b"\n") + 1
    sent = received = connections = 0
    refused = dict(before.refused)
    for line in filter(None, map(LINE.match, block[:whole].splitlines())):
        code, to_client, to_origin, word = line.groups()
        sent, received = sent + int(to_client), received + int(to_origin)
        if reason := REFUSALS.get(int(code)):
            refused[reason] = refused.get(reason, 0) + 1
        elif ends_a_connection(word):
            connections += 1
    return Counts(
        offset=before.offset + whole,
        received_bytes=before.received_bytes + received,
        sent_bytes=before.sent_bytes + sent,
        connections=before.connections + connections,
        refused=refused,
    )


def ends_a_connection(word: bytes) -> bool:
    """Whether the line is the last one of a connection; lines about open connections (`logdump`) have no word."""
    return word not in SERVICE_WORDS and not word.endswith(b":") and word != b""
