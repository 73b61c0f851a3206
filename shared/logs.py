"""Structured logs on standard error: JSON lines, or text for a person if it is a terminal."""

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]


def configure(level: LogLevel) -> None:
    """Send logs of this program and its libraries to standard error, from this level on.

    Libraries log at level warning or above only: at debug level, aio-pika would write whole messages.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", BestEffortStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[LibraryHandler()], force=True)
    logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class BestEffortStream(io.TextIOBase):
    """A stream for logs that drops lines, instead of failing, on a full disk or without a reader."""

    def __init__(self, stream: TextIO) -> None:

        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write as much as possible."""
        with suppress(OSError):
            os.write(self._stream.fileno(), text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` does not buffer."""


class LibraryHandler(logging.Handler):
    """Handler that turns a library's log records into our events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as the event `library.logged`."""
        structlog.get_logger().log(
            record.levelno, "library.logged", library=record.name, text=record.getMessage(), exc_info=record.exc_info
        )
