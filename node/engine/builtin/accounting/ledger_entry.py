"""One line of the ledger: what was counted for a proxy in one life, and what it has spent since it was first seen."""

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
    """JSON without a line break; begins with the key, see `key_of`."""
    told = {
        "id": entry.id,
        "epoch": entry.epoch,
        "received_bytes": entry.received_bytes,
        "sent_bytes": entry.sent_bytes,
        "connections": entry.connections,
        "refused": dict(entry.refused),
        "spent": astuple(entry.spent),
    }
    return json.dumps(told, separators=(",", ":")).encode()


def taken_line(key: LedgerKey) -> bytes:
    """Says that a finished life is safe elsewhere."""
    return b'{"taken":[%d,%d]}' % key


def read_line(data: bytes) -> LedgerEntry | LedgerKey | None:
    """None for what is no whole line: the last one may be torn, and a disk may lose what was not yet safe."""
    try:
        told = cast("dict[str, Any]", json.loads(data))
        if "taken" in told:
            id_, epoch = told["taken"]
            return int(id_), int(epoch)
        total, day, in_day, month, in_month = told["spent"]
        return LedgerEntry(
            id=int(told["id"]),
            epoch=int(told["epoch"]),
            received_bytes=int(told["received_bytes"]),
            sent_bytes=int(told["sent_bytes"]),
            connections=int(told["connections"]),
            refused={str(reason): int(count) for reason, count in told["refused"].items()},
            spent=QuotaUsage(int(total), float(day), int(in_day), float(month), int(in_month)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def key_of(data: bytes) -> LedgerKey | None:
    """An entry's key without reading the rest of its line; None for other lines."""
    form = _BEGINNING.match(data) if data.endswith(b"}") else None
    return (int(form[1]), int(form[2])) if form else None
