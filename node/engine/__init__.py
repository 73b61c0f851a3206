"""The seam between the agent and whatever runs proxies.

Two engines stand behind it: `node.engine.builtin` and `node.engine.three_proxy`. One contract test runs over both.
"""

from collections.abc import Mapping
from typing import Protocol

from shared.proxies import ProxyId, ProxyRecord, Version


class EngineError(Exception):
    """A proxy could not be started. The text is a reason for a person, without secrets: "port 20001 is taken"."""


class PortTaken(EngineError):
    """The proxy's port is held by a program that is not ours."""


class Engine(Protocol):
    """Starts and stops proxies. Start and stop are idempotent; `running` tells the truth, not what was asked.

    An engine outlives its agent: leaving the engine's context leaves the proxies running, and an engine opened on the
    same directory finds them again.
    """

    async def running(self) -> Mapping[ProxyId, Version]:
        """What accepts connections at this moment."""
        ...

    async def start(self, proxy: ProxyRecord) -> None:
        """Run this record in place of whatever runs under its id.

        A new version with the same port takes over without a gap and without touching connections that still satisfy
        it (as far as the engine can). When it fails, what ran before runs on. Raises EngineError.
        """
        ...

    async def stop(self, proxy_id: ProxyId) -> None:
        """Close the listener and every open connection of this proxy; nothing happens when it is unknown."""
        ...
