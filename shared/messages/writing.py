"""Writing of messages to bytes, split so that a person can read each in RabbitMQ's management UI. Pure."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from shared.messages.bodies import IDS, LiveFigures, NeedSync, ProxyFailure, Report, UpgradeRequest, UsageCounters
from shared.messages.broker_config import ConfigBody, ConfigOkBody
from shared.proxies import MAX_BIGINT

BODY_LIMIT = 50_000
"""Most bytes of one body, where RabbitMQ's management UI truncates messages."""
USAGE_ROOM = 10_000
"""Bytes that failures leave for counters and live figures in a report."""


def encode(body: NeedSync | Report | UpgradeRequest | ConfigBody | ConfigOkBody) -> bytes:
    """Encode the body of a message that is never split."""
    match body:
        case NeedSync(ids=ids):
            return IDS.dump_json(ids)
        case Report() | UpgradeRequest() | ConfigBody() | ConfigOkBody():
            return body.model_dump_json(exclude_defaults=True).encode()


def encode_pairs(pairs: Iterable[tuple[int, int]]) -> list[bytes]:
    """Encode a check-sync as bodies of at most BODY_LIMIT bytes; an empty list gives one body."""
    return joined([b"[%d,%d]" % pair for pair in pairs])


def encode_records(records: Iterable[bytes]) -> list[bytes]:
    """Encode a sync from records that are JSON already."""
    return joined(list(records))


def joined(items: Sequence[bytes]) -> list[bytes]:
    """Join JSON items to arrays, each filled up to BODY_LIMIT."""
    return [b"[" + b",".join(batch) + b"]" for batch in batches(items, [len(item) for item in items])] or [b"[]"]


ItemT = TypeVar("ItemT")


def batches(items: Sequence[ItemT], sizes: Sequence[int], limit: int = BODY_LIMIT - 2) -> list[Sequence[ItemT]]:
    """Split items into consecutive runs of at least one, whose sizes, with a comma each, stay within the limit."""
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
    """Compute the bytes that a report has left for counters and live figures: at least about USAGE_ROOM."""
    return BODY_LIMIT - len(encode(report)) - len(',"usage":[],"live":[]')


def usage_size(usage: UsageCounters | LiveFigures) -> int:
    """Compute the bytes of one proxy's figures in a report, with the comma."""
    return len(usage.model_dump_json(exclude_defaults=True)) + 1


def failure_parts(failures: Sequence[ProxyFailure]) -> list[tuple[Sequence[ProxyFailure], int, int]]:
    """Sort failures by id and split them for reports, each part with the range of ids that it covers."""
    ordered = sorted(failures, key=lambda failure: failure.id)
    runs = batches(ordered, [len(failure.model_dump_json()) for failure in ordered], BODY_LIMIT - USAGE_ROOM - 2_000)
    ends = [run[-1].id for run in runs[:-1]] + [MAX_BIGINT]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return list(zip(runs or [[]], starts, ends, strict=True))
