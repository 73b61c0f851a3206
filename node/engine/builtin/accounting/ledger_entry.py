"""One line of the ledger: what was counted for a proxy in one life, and what it has spent since it was first seen."""

import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, cast

from node.engine.builtin.policy.quota_periods import Spent

_BEGINNING = re.compile(rb'\{"id":([0-9]{1,19}),"epoch":([0-9]{1,19}),')

Key = tuple[int, int]
"""(proxy id, epoch)"""


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    epoch: int
    received_bytes: int
    sent_bytes: int
    connections: int
    refused: Mapping[str, int] = field(default_factory=dict[str, int])
    spent: Spent = field(default_factory=Spent)

    @property
    def key(self) -> Key:
        return self.id, self.epoch


def line(entry: Entry) -> bytes:
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


def taken_line(key: Key) -> bytes:
    """Says that a finished life is safe elsewhere."""
    return b'{"taken":[%d,%d]}' % key


def read_line(data: bytes) -> Entry | Key | None:
    """None for what is no whole line: the last one may be torn, and a disk may lose what was not yet safe."""
    try:
        told = cast("dict[str, Any]", json.loads(data))
        if "taken" in told:
            id_, epoch = told["taken"]
            return int(id_), int(epoch)
        total, day, in_day, month, in_month = told["spent"]
        return Entry(
            id=int(told["id"]),
            epoch=int(told["epoch"]),
            received_bytes=int(told["received_bytes"]),
            sent_bytes=int(told["sent_bytes"]),
            connections=int(told["connections"]),
            refused={str(reason): int(count) for reason, count in told["refused"].items()},
            spent=Spent(int(total), float(day), int(in_day), float(month), int(in_month)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def key_of(data: bytes) -> Key | None:
    """An entry's key without reading the rest of its line; None for other lines."""
    form = _BEGINNING.match(data) if data.endswith(b"}") else None
    return (int(form[1]), int(form[2])) if form else None
