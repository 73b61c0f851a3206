"""`maybe-master`: the controlling program."""

import argparse
import asyncio
import os
import signal
import sys

import structlog

from master.app import run_master
from master.errors import BadConfiguration
from master.settings import Settings, read_settings
from shared.logs import configure
from shared.tasks import leaves


def main() -> None:
    """Exit codes: 0 stopped by a signal, 2 bad configuration."""
    argparse.ArgumentParser(
        prog="maybe-master",
        description="HTTP API, rotation and the management of nodes. Its settings come from the environment: "
        "DATABASE_HOST, DATABASE_PORT, DATABASE_USERNAME, DATABASE_PASSWORD, DATABASE_NAME, AMQP_URL, "
        "RABBITMQ_MANAGEMENT_URL; and, if need be, NODE_AMQP_URL, LICENSE_KEY, API_HOST, API_PORT, LOG_LEVEL.",
    ).parse_args()
    try:
        settings = read_settings(os.environ)
        configure(settings.log_level)
        asyncio.run(serve(settings))
    except* BadConfiguration as group:
        for error in leaves(group):
            print(f"maybe-master: {error}", file=sys.stderr)
        sys.exit(2)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises BadConfiguration."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    structlog.contextvars.bind_contextvars(program="master")
    await run_master(settings, stop)


if __name__ == "__main__":
    main()
