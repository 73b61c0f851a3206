"""Abuses proxy A in every way, and measures what a customer of proxy B in the same worker notices of it.

    ./dev python -m tests.bench.neighbours [--seconds 10] [--connections 8] [--only KIND,KIND] [--nice N] [--cluster]

Each attack runs alone, by a process of ordinary priority, with a bounded number of connections, for so many seconds;
the customer makes one new connection after the other all the while, and the agent's engine asks the worker for its
counters. Then the customer is watched until its answers are as quick as before. Amid a second, short attack A is
removed: that is over when the order is answered and A's port refuses. With `--cluster` the same by a real master and
agent, where B is changed and A is removed through the API.

The worker has the last core to itself, as far as nothing else runs on the machine; all others share the first ones. As
root the customer, and its origin, get a nice value of -5, so that what is measured is the worker and not the attacker's
share of the customer's core. On a machine that is not idle the figures are those of the machine, unless `--nice` (as
root) puts the worker and this session before all others.

The exit code is 0 when all holds: p50 at most 10 ms, p99 at most 50 ms, as before within 1 s, A removed within 1 s, and
the worker never called stuck.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

from tests.bench.engines.measuring import pinned, preferred, split_cores
from tests.bench.neighbours.figures import Figures, table
from tests.bench.neighbours.grounds import Ground, in_a_cluster, in_an_engine
from tests.bench.neighbours.measuring import KINDS, abused
from tests.bench.neighbours.names import starved


def arguments() -> argparse.Namespace:
    assert __doc__
    form = argparse.RawDescriptionHelpFormatter
    reader = argparse.ArgumentParser("tests.bench.neighbours", description=__doc__, formatter_class=form)
    reader.add_argument("--seconds", type=float, default=10.0, help="of each attack")
    reader.add_argument("--connections", type=int, default=8, help="of each attack")
    reader.add_argument("--only", type=lambda text: tuple(text.split(",")), default=(), help=", ".join(KINDS))
    reader.add_argument("--nice", type=int, default=0, help="of the worker and of this session; -20 on a busy machine")
    reader.add_argument("--cluster", action="store_true", help="a real master and a real agent")
    return reader.parse_args()


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measured(given: argparse.Namespace) -> list[Figures]:
    rows: list[Figures] = []
    cores = split_cores()
    async with AsyncExitStack() as stack:
        # Attackers and the customer set their own; this is for the agent, and for the whole session.
        stack.enter_context(preferred(given.nice))
        stack.enter_context(pinned(cores.load))
        place = in_a_cluster(cores, given.nice) if given.cluster else in_an_engine(cores, given.nice)
        ground: Ground = await stack.enter_async_context(place)
        for kind in given.only or KINDS:
            figures = await abused(ground, kind, given.connections, given.seconds)
            tell(f"{'ok   ' if figures.holds else 'WRONG'} {table([figures]).splitlines()[-1]} {figures.did}")
            rows.append(figures)
    return rows


def main() -> None:
    given = arguments()
    rows = asyncio.run(measured(given))
    print(table(rows))
    names_ms = asyncio.run(starved()) if not given.only else 0.0
    if not given.only:
        print(f"A good name, while 4 and 8 other proxies ask for 24 dead ones each: at most {names_ms:.0f} ms")
    sys.exit(0 if all(each.holds for each in rows) and names_ms < 1000 else 1)


if __name__ == "__main__":
    main()
