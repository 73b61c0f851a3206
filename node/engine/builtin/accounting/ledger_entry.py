"""The lines of the ledger: the counters of a proxy in one life, and its total traffic."""

import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, cast

from node.engine.builtin.policy.quota_periods import QuotaUsage

_BEGINNING = re.compile(rb'\{"id":([0-9]{1,19}),"epoch":([0-9]{1,19}),')

LedgerKey = tuple[int, int]
"""(proxy id, epoch)"""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The counters of one life. `spent` is the traffic of all lives of the proxy."""

    id: int
    epoch: int
    received_bytes: int
    sent_bytes: int
    connections: int
    refused: Mapping[str, int] = field(default_factory=dict[str, int])
    spent: QuotaUsage = field(default_factory=QuotaUsage)

    @property
    def key(self) -> LedgerKey:
        return self.id, self.epoch


def line(entry: LedgerEntry) -> bytes:
    """Encode an entry as JSON without a line break, beginning with its key; see `key_of`."""
    fields = {
        "id": entry.id,
        "epoch": entry.epoch,
        "received_bytes": entry.received_bytes,
        "sent_bytes": entry.sent_bytes,
        "connections": entry.connections,
        "refused": dict(entry.refused),
        "spent": astuple(entry.spent),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def taken_line(key: LedgerKey) -> bytes:
    """The line that marks a finished life as acknowledged."""
    return b'{"taken":[%d,%d]}' % key


def read_line(data: bytes) -> LedgerEntry | LedgerKey | None:
    """Parse a line; None if it is incomplete: the last one may be torn, and a disk may lose what was not synced."""
    try:
        fields = cast("dict[str, Any]", json.loads(data))
        if "taken" in fields:
            id_, epoch = fields["taken"]
            return int(id_), int(epoch)
        total, day, in_day, month, in_month = fields["spent"]
        return LedgerEntry(
            id=int(fields["id"]),
            epoch=int(fields["epoch"]),
            received_bytes=int(fields["received_bytes"]),
            sent_bytes=int(fields["sent_bytes"]),
            connections=int(fields["connections"]),
            refused={str(reason): int(count) for reason, count in fields["refused"].items()},
            spent=QuotaUsage(int(total), float(day), int(in_day), float(month), int(in_month)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def key_of(data: bytes) -> LedgerKey | None:
    """The key of an entry, without parsing the rest of its line; None for other lines."""
    form = _BEGINNING.match(data) if data.endswith(b"}") else None
    return (int(form[1]), int(form[2])) if form else None
