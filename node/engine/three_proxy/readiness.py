"""Reads from 3proxy's log whether it accepts connections and, if not, why."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from node.engine.interface import EngineError
from node.engine.three_proxy.configuration import READY
from node.engine.three_proxy.process import Process

NO_MIXED = "3proxy before 0.9.5 cannot take HTTP and SOCKS on one port: use the builtin engine"

READY_WITHIN_S = 3.0

POLL_S = 0.002
"""3proxy accepts about 6 ms after its start."""


async def until_accepting(process: Process, log: Path, *, port: int, passwords: Sequence[str]) -> None:
    """Wait until it accepts connections. Raises EngineError if it will not: its exit code does not show it (always 0),
    and on a port in use it keeps retrying."""
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while (outcome := outcome_of(lines_of(log))) == "none":
                if process.exited:
                    break
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        outcome = "none"
    if outcome != "ready":
        raise EngineError(f"3proxy does not accept connections on port {port}: {reason(lines_of(log), passwords)}")


def lines_of(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


def outcome_of(lines: Sequence[str]) -> Literal["none", "ready", "failed"]:
    """Judge by the last word of a line of `LOG_FORMAT`: "=00000 0 0 Accepting", "=00000 0 0 bind():"."""
    words = {line.split(" ")[-1] for line in lines if line.startswith("=")}
    if READY in words:
        return "ready"
    return "failed" if {"bind():", "listen():"} & words else "none"


def reason(lines: Sequence[str], passwords: Sequence[str]) -> str:
    """The last line that is not a warning, withheld if it contains a password."""
    messages = [line for line in lines if line and "Warning:" not in line]
    if not messages:
        return "its log is empty"
    if any(password in messages[-1] for password in passwords):
        return "its message is withheld because it contains the password"
    if messages[-1].startswith("Unknown command: 'auto'"):
        return NO_MIXED
    return f"{messages[-1].split(' ')[-1].rstrip(':')} failed" if messages[-1].startswith("=") else messages[-1]
