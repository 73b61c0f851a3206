"""Counters of this master since its start, for /metrics, and the text format of Prometheus."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

MessageOutcome = Literal["taken", "parked", "refused", "given_up", "dropped"]
"""The outcome of a message. given_up: the database was away; dropped: the sender is over its rate limit."""
Sample = tuple[str, Mapping[str, object], float]
"""Suffix of the name, labels, value."""


@dataclass(slots=True)
class Durations:
    """A histogram of durations: `counts` by the lowest bound above, the last one for all longer durations."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Add a duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def samples(self, labels: Mapping[str, object]) -> Iterable[Sample]:
        """Return the samples of the histogram."""
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            yield "_bucket", {**labels, "le": bound}, total
        yield "_sum", labels, self.sum_s
        yield "_count", labels, total


@dataclass(slots=True)
class Meters:
    """The counters of this program."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter[tuple[str, str, int]])
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict[tuple[str, str], Durations])
    refused_tokens: Counter[str] = field(default_factory=Counter[str])
    """Requests that were not authenticated, by the reason."""
    messages: Counter[tuple[str, MessageOutcome]] = field(default_factory=Counter[tuple[str, MessageOutcome]])

    def served(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is a template, never a path, so that clients cannot create labels."""
        method = method if method in METHODS else "other"
        self.requests[method, route, status] += 1
        self.durations.setdefault((method, route), Durations()).add(seconds)

    def families(self) -> Iterable[str]:
        """Return all counters in the text format."""
        requests = [
            ("", {"method": method, "route": route, "status": status}, count)
            for (method, route, status), count in sorted(self.requests.items())
        ]
        yield family("maybe_api_requests_total", "counter", "Requests to the API.", requests)
        durations = [
            sample
            for (method, route), took in sorted(self.durations.items())
            for sample in took.samples({"method": method, "route": route})
        ]
        words = "Seconds until an answer began."
        yield family("maybe_api_request_duration_seconds", "histogram", words, durations)
        refused = [("", {"reason": reason}, count) for reason, count in sorted(self.refused_tokens.items())]
        words = "Requests without a token that counts."
        yield family("maybe_api_authentication_failures_total", "counter", words, refused)
        messages = [
            ("", {"type": type_, "verdict": verdict}, count)
            for (type_, verdict), count in sorted(self.messages.items())
        ]
        yield family("maybe_messages_total", "counter", "Messages of nodes by outcome.", messages)


def family(name: str, kind: str, words: str, samples: Iterable[Sample]) -> str:
    """Return one metric in the text format (Prometheus, exposition formats, 0.0.4)."""
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{suffix}{braced(labels)} {value:.10g}" for suffix, labels, value in samples]
    return "\n".join(lines) + "\n"


def braced(labels: Mapping[str, object]) -> str:
    """Return {name="value",...}, or nothing without labels."""
    pairs = ",".join(f'{name}="{escaped(str(value))}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def escaped(text: str) -> str:
    """Escape a label's value."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def gauge(name: str, words: str, value: float) -> str:
    """Return a gauge without labels."""
    return family(name, "gauge", words, [("", {}, value)])


def by(name: str, words: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> str:
    """Return a gauge by labels."""
    samples = [("", dict(zip(labels, key, strict=True)), value) for key, value in sorted(values.items())]
    return family(name, "gauge", words, samples)
