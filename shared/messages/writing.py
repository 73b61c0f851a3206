"""Messages as bytes, each of a size that people can look at."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from shared.messages.bodies import IDS, NeedSync, ProxyFailure, Report, UsageCounters
from shared.proxies import MAX_BIGINT

BODY_LIMIT = 50_000
"""Bytes of one body; RabbitMQ's management UI cuts a message there."""
USAGE_ROOM = 10_000
"""Bytes that failures leave for counters in each report."""


def encode(body: NeedSync | Report) -> bytes:
    """The one body of a message that is never split."""
    match body:
        case NeedSync(ids=ids):
            return IDS.dump_json(ids)
        case Report():
            return body.model_dump_json(exclude_defaults=True).encode()


def encode_pairs(pairs: Iterable[tuple[int, int]]) -> list[bytes]:
    """The bodies of a check-sync, each under BODY_LIMIT; an empty list is one message like any other."""
    return joined([b"[%d,%d]" % pair for pair in pairs])


def encode_records(records: Iterable[bytes]) -> list[bytes]:
    """The bodies of a sync out of records that are JSON already."""
    return joined(list(records))


def joined(items: Sequence[bytes]) -> list[bytes]:
    """JSON arrays of these items, filled up to BODY_LIMIT each."""
    return [b"[" + b",".join(batch) + b"]" for batch in batches(items, [len(item) for item in items])] or [b"[]"]


ItemT = TypeVar("ItemT")


def batches(items: Sequence[ItemT], sizes: Sequence[int], limit: int = BODY_LIMIT - 2) -> list[Sequence[ItemT]]:
    """Consecutive runs of the items whose sizes, a comma each included, stay within the limit; one item at least."""
    out: list[Sequence[ItemT]] = []
    start = filled = 0
    for index, size in enumerate(sizes):
        if index > start and filled + size + 1 > limit:
            out.append(items[start:index])
            start, filled = index, 0
        filled += size + 1
    if start < len(items):
        out.append(items[start:])
    return out


def usage_room(report: Report) -> int:
    """Bytes of counters that still fit into this report; at least about USAGE_ROOM."""
    return BODY_LIMIT - len(encode(report)) - len(',"usage":[]')


def usage_size(usage: UsageCounters) -> int:
    """Bytes of one counter in a report, its comma included."""
    return len(usage.model_dump_json(exclude_defaults=True)) + 1


def failure_parts(failures: Sequence[ProxyFailure]) -> list[tuple[Sequence[ProxyFailure], int, int]]:
    """Failures in order of id, split for reports: each part with the range of ids for which it is complete."""
    ordered = sorted(failures, key=lambda failure: failure.id)
    runs = batches(ordered, [len(failure.model_dump_json()) for failure in ordered], BODY_LIMIT - USAGE_ROOM - 2_000)
    ends = [run[-1].id for run in runs[:-1]] + [MAX_BIGINT]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return list(zip(runs or [[]], starts, ends, strict=True))
