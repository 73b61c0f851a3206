"""Structured logs: JSON lines, or something readable when standard error is a terminal."""

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]


def configure(level: LogLevel) -> None:
    """Send every log of this program, its libraries' included, to standard error from this level on.

    Libraries speak from warning on at most: aio-pika at debug level would write whole messages.
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
    """A stream for logs: a full disk or a reader that went away costs lines, and never the program."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this one."""
        self._stream = stream

    def write(self, text: str, /) -> int:
        """All of it, or as much as there is room for."""
        with suppress(OSError):
            os.write(self._stream.fileno(), text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


class LibraryHandler(logging.Handler):
    """What a library logs, as one event of ours. aio-pika's own are left out: the bus tells the same once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        structlog.get_logger().log(
            record.levelno, "library.said", library=record.name, text=record.getMessage(), exc_info=record.exc_info
        )
