"""A worker's log: one JSON object a line on standard error, never with data that passed through a proxy."""

import json
import os
import sys
import time
import traceback
from contextlib import suppress

_FRAMES = 6


def write(event: str, **fields: object) -> None:
    """Write a line; `event` is fixed lower-case text, thing.happened. If the disk is full, only the line is lost."""
    line = json.dumps({"event": event, "timestamp": round(time.time(), 3), **fields}) + "\n"
    with suppress(OSError):
        os.write(sys.stderr.fileno(), line.encode())


def fault(event: str, error: BaseException) -> None:
    """Log the type and position of an exception, not its text, which may quote a client's data."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    write(event, error=type(error).__name__, at=places)
