"""The built-in engine beside 3proxy and what else is installed: speed, CPU, memory, many proxies.

    ./dev python -m tests.bench.engines [--quick] [--rounds N] [--seconds S] [--only NAME,...] [--cases KEY,...]
                                        [--skip speed,memory,fleet,handover] [--nice N] [--json FILE] [--svg FILE]

3proxy is found by THREE_PROXY or on PATH, the others on PATH; what is not there is named and left out. All contenders
run at the same time and are measured in turns; a figure is the median over the rounds. The table goes to standard
output, progress to standard error.

Where the host's congestion control paces (bbr), timers in the kernel hold bulk up, whoever carries it. Without, as root
and in a network of its own: unshare -n sh -c 'ip link set lo up; sysctl -w net.ipv4.tcp_congestion_control=reno; ./dev
python -m tests.bench.engines'
"""

import argparse
import asyncio
import json
import os
import resource
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from node.engine.interface import EngineError
from tests.bench.engines import plot
from tests.bench.engines.cases import CASES
from tests.bench.engines.configurations import PROGRAMS
from tests.bench.engines.contenders import BUILTIN, DIRECT, Ground, Running, StartError, find, own_address, running
from tests.bench.engines.fleet import fleet
from tests.bench.engines.generator import Generator, LoadError, NoCompilerError, Origin, compiled
from tests.bench.engines.handover import handover
from tests.bench.engines.measuring import pinned, preferred, split_cores
from tests.bench.engines.memory import held
from tests.bench.engines.outcome import Outcome, machine
from tests.bench.engines.rounds import Course

QUICK = (DIRECT, BUILTIN, "3proxy")
FLEETS = (10, 1_000, 10_000)
PARTS = ("speed", "memory", "fleet", "handover")
HANDOVER, QUICK_HANDOVER = (1_000, 4_500), (100, 500)
RELAYS = {"idle": 5_000, "stalled": 100}
QUICK_RELAYS = {"idle": 1_000, "stalled": 50}


def main() -> None:
    given = arguments()
    # Ended by a signal it still ends what it started, for all of that lives in sessions of its own.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="maybe-bench-") as folder:
        Path(folder).chmod(0o755)
        try:
            outcome = asyncio.run(measured(given, Path(folder)))
        except NoCompilerError as error:
            sys.exit(str(error))
    print(outcome.markdown())
    if given.json:
        given.json.write_text(json.dumps(outcome.as_json(), indent=1) + "\n")
    if given.svg:
        given.svg.write_text(plot.drawn(outcome.samples, outcome.cases, outcome.names))


def arguments() -> argparse.Namespace:
    """Raises SystemExit with a text for a person."""
    assert __doc__
    form = argparse.RawDescriptionHelpFormatter
    reader = argparse.ArgumentParser("tests.bench.engines", description=__doc__, formatter_class=form)
    reader.add_argument("--quick", action="store_true", help="three contenders, three short rounds, less memory")
    reader.add_argument("--rounds", type=int, help="7, or 3 when quick")
    reader.add_argument("--seconds", type=float, help="of each run: 2, or 0.5 when quick")
    reader.add_argument("--nice", type=int, default=0, help="of all that is measured; -20 (as root) on a busy machine")
    reader.add_argument("--only", type=words((DIRECT, BUILTIN, *PROGRAMS)), help="contenders")
    reader.add_argument("--cases", type=words(CASES), default=tuple(CASES), help=", ".join(CASES))
    reader.add_argument("--skip", type=words(PARTS), default=(), help=", ".join(PARTS))
    reader.add_argument("--json", type=Path, help="every sample")
    reader.add_argument("--svg", type=Path, help="a plot")
    given = reader.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 7)
    given.seconds = given.seconds or (0.5 if given.quick else 2.0)
    given.only = given.only or (QUICK if given.quick else (DIRECT, BUILTIN, *PROGRAMS))
    return given


def words(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads a list of known names with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return tuple(text.split(","))

    return read


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measured(given: argparse.Namespace, folder: Path) -> Outcome:
    """Raises NoCompilerError."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    generator = Generator(compiled(folder), ("bench", secrets.token_hex(8)), given.nice)
    cores, host = split_cores(), own_address()
    with preferred(given.nice), pinned(cores.load):
        async with generator.origin(host) as origin:
            ground = Ground(folder, host, cores, generator.login, origin.address, given.nice)
            names, missing = present(given.only)
            outcome = Outcome(machine(cores), tuple(CASES[key] for key in given.cases), names, missing)
            if "speed" not in given.skip:
                await speed(outcome, given, ground, generator, origin)
            if "memory" not in given.skip:
                await memory(outcome, QUICK_RELAYS if given.quick else RELAYS, ground, generator)
            if "fleet" not in given.skip and BUILTIN in names:
                await fleets(outcome, ground)
            if "handover" not in given.skip and BUILTIN in names:
                await upgrade(outcome, QUICK_HANDOVER if given.quick else HANDOVER, ground, generator)
    return outcome


def present(wanted: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Those that are here, and for each other one where it is to be had."""
    missing = {name: PROGRAMS[name].origin for name in wanted if name in PROGRAMS and not find(name, os.environ)}
    for name, where in missing.items():
        tell(f"without {name}: {where}")
    return [name for name in wanted if name not in missing], missing


async def speed(
    outcome: Outcome, given: argparse.Namespace, ground: Ground, generator: Generator, origin: Origin
) -> None:
    async with AsyncExitStack() as stack:
        course = Course(
            generator,
            origin,
            await started(outcome, ground, stack),
            outcome.cases,
            given.seconds,
            len(ground.cores.load),
        )
        for number in range(given.rounds):
            outcome.samples.extend(await course.round(number, tell))


async def started(outcome: Outcome, ground: Ground, stack: AsyncExitStack) -> list[Running]:
    """Those that do not come up are told and left out."""
    up: list[Running] = []
    for name in list(outcome.names):
        try:
            up.append(await stack.enter_async_context(running(name, ground)))
        except StartError as error:
            outcome.leave_out(name, str(error))
            tell(f"without {name}: {error}")
    outcome.notes.update({each.name: each.note for each in up if each.note})
    return up


async def memory(outcome: Outcome, relays: dict[str, int], ground: Ground, generator: Generator) -> None:
    for name in (name for name in outcome.names if name != DIRECT):
        for kind, count in relays.items():
            tell(f"memory of {name}: {count:,} {kind} relays")
            try:
                outcome.held.append(await held(name, ground, generator, kind, count))
            except (StartError, LoadError) as error:
                tell(f"  not measured: {error}")


async def fleets(outcome: Outcome, ground: Ground) -> None:
    for proxies in FLEETS:
        tell(f"{proxies:,} proxies in one worker")
        try:
            outcome.fleets.append(await fleet(proxies, ground))
        except (StartError, EngineError) as error:
            tell(f"  not measured: {error}")


async def upgrade(outcome: Outcome, size: tuple[int, int], ground: Ground, generator: Generator) -> None:
    tell(f"handover of {size[0]:,} proxies and {size[1]:,} relays")
    try:
        outcome.handovers.append(await handover(*size, ground, generator))
    except (StartError, EngineError, LoadError) as error:
        tell(f"  not measured: {error}")


if __name__ == "__main__":
    main()
