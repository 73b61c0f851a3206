"""What 3proxy's log tells of traffic: pure sums over its lines."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from node.engine.three_proxy.configuration import READY

LINE = re.compile(rb"=(\d{5}) (\d+) (\d+) (.*)")
"""`LOG_FORMAT`. The mark in front keeps a line that a full file cut short from being read as one with the next."""

REFUSALS = {1: "destination", 3: "source", **dict.fromkeys(range(4, 9), "login"), 10: "limit"}
"""By result code: 1 a rule that denies, 3 no rule that allows, 4-8 the login, 10 a limit. All others are of connections
that were served, though their destination may not have answered."""

SERVICE_WORDS = {READY.encode(), b"Failed", b"failed", b"Memory"}
"""How 3proxy begins what it says of itself; or with a name and a colon."""


class Counts(BaseModel):
    """What one process moved, as far as `offset` of its log.

    `received_bytes` came from clients, `sent_bytes` went to them. `connections` counts a client's requests one by one
    where it sends several over one HTTP connection, for 3proxy logs each.
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
    """With the block's whole lines, which follow `offset`; an unfinished last one is left for the next time."""
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
    """A connection that goes on (`logdump`) has no word."""
    return word not in SERVICE_WORDS and not word.endswith(b":") and word != b""
