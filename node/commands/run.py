"""`maybe-node run`: the agent."""

import asyncio
import gc
import os
import shlex
import signal
import sys
from collections.abc import Sequence

import structlog

from node.app import run_node
from node.data_directory import DATA_DIR
from node.service.notices import notices_of
from node.settings import Settings, read_settings
from shared.logs import configure


def main(arguments: Sequence[str]) -> int:
    """Run the agent. Raises NodeError."""
    if arguments:
        from node.commands.options import options  # noqa: PLC0415 (half a megabyte that a running agent does not need)

        options("run", "Run the agent until SIGTERM or Ctrl-C. Proxies keep running afterwards.").parse_args(arguments)
    settings = read_settings(os.environ)
    configure(settings.log_level)
    asyncio.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """Run the agent until a signal ends it."""
    tune_garbage_collector()
    stop = Stop()
    await run_node(settings, stop.event, upgrade=upgrade_on_signal(), notices=notices_of(os.environ))
    if stop.signal == signal.SIGINT:
        print(stop_hint(settings), file=sys.stderr)


def stop_hint(settings: Settings) -> str:
    """Explain to a person who pressed Ctrl-C that the proxies are still running."""
    command = "maybe-node stop"
    if settings.data_dir != DATA_DIR:
        command = f"NODE_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}"
    return f"maybe-node: the agent has ended. Its proxies keep running; to end them as well: {command}"


def tune_garbage_collector() -> None:
    """Collect garbage less often, and never in imported modules: collecting took a fifth of starting many proxies."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Stop:
    """An event that SIGTERM and SIGINT set, and the signal that set it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._set, number)
        structlog.contextvars.bind_contextvars(program="node")

    def _set(self, number: signal.Signals) -> None:
        self.signal = number
        self.event.set()


def upgrade_on_signal() -> asyncio.Event:
    """Return an event that SIGUSR1 sets."""
    upgrade = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, upgrade.set)
    return upgrade
