"""Measures every contender in every case, in turns, so that a slow minute of the machine hits all alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.engines.cases import Case, reached, way
from tests.bench.engines.contenders import Running
from tests.bench.engines.generator import Generator, Load, Origin
from tests.bench.engines.measuring import cpu_s, machine_busy_s

FULL = 0.95
"""Share of its cores from which on the load is taken to have been the limit."""


@dataclass(frozen=True)
class Sample:
    """One run. `load_busy` is the share of the load's cores that generator and origin used; `others_busy` how many
    cores everybody else did. Without `figures` it did not do the work, and `why` tells."""

    case: str
    contender: str
    figures: dict[str, float] | None
    load_busy: float
    others_busy: float
    load: Load

    @property
    def why(self) -> str:
        if self.load.reopened > self.load.done / 10:
            return "keeps no connection"
        return f"some failed: {self.load.reason}" if self.load.failed else self.load.reason


@dataclass(frozen=True)
class Course:
    """Who is compared in what, `seconds` at a time."""

    generator: Generator
    origin: Origin
    contenders: Sequence[Running]
    cases: Sequence[Case]
    seconds: float
    load_cores: int

    async def round(self, number: int, tell: Callable[[str], None]) -> list[Sample]:
        """Every case, with another contender first in each round."""
        samples: list[Sample] = []
        turn = number % len(self.contenders)
        for case in self.cases:
            for running in (*self.contenders[turn:], *self.contenders[:turn]):
                if spoken := way(case, running):
                    samples.append(await self._sample(case, running, *spoken))
            tell(f"round {number + 1}: {case.title}")
        return samples

    async def _sample(self, case: Case, running: Running, how: str, to: str) -> Sample:
        before = time.monotonic(), cpu_s(running.roots), cpu_s([self.origin.pid]), machine_busy_s()
        load = await self.generator.run(
            how=how,
            to=to,
            origin=self.origin.address,
            anonymous=running.anonymous,
            seconds=self.seconds,
            **case.options,
        )
        after = time.monotonic(), cpu_s(running.roots), cpu_s([self.origin.pid]), machine_busy_s()
        wall, proxy, origin, machine = (late - early for late, early in zip(after, before, strict=True))
        return Sample(
            case.key,
            running.name,
            reached(case, load, proxy),
            (load.cpu_s + origin) / load.seconds / self.load_cores,
            max(0.0, machine - proxy - origin - load.cpu_s) / wall,
            load,
        )
