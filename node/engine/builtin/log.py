"""A worker's log: one JSON object a line on standard error, never with anything that passed through a proxy."""

import json
import os
import sys
import time
import traceback
from contextlib import suppress

_FRAMES = 6


def write(event: str, **fields: object) -> None:
    """`event` is fixed lower-case text, thing.happened. A full disk costs the line and nothing else."""
    line = json.dumps({"event": event, "timestamp": round(time.time(), 3), **fields}) + "\n"
    with suppress(OSError):
        os.write(sys.stderr.fileno(), line.encode())


def fault(event: str, error: BaseException) -> None:
    """Tells the kind of an exception and where it came up, not its text: that may quote a client's bytes."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    write(event, error=type(error).__name__, at=places)
