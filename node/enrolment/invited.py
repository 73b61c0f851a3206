"""The challenge of a node that has an invitation: derived from a nonce, which is drawn again for each announcement.

As soon as a master has proven that it knows the challenge, it may have made this node: then the nonce is kept on disk,
so that the node is known again whatever ends in between, and counts once.
"""

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path

import structlog

from node.state.identity import write_secret
from shared.enrolment.bodies import NodeConfig
from shared.enrolment.invitation import Announcement, InvitationSecret, announce, new_nonce, node_challenge
from shared.tasks import wait_for_event

log = structlog.get_logger()

ANSWER_WAIT_S = 5.0
"""A master may call before its answer to the announcement has arrived."""
FILE_LIMIT = 1_024


class InvitedChallenge:
    """The nonce and the challenge. `called` is set once a master has proven that it knows this challenge."""

    def __init__(self, invitation: InvitationSecret, file: Path, *, port: int, ip: str | None) -> None:
        """`ip` is the address at which the node asks to be called; None: the one that the master sees."""
        self.invitation, self._file, self._port, self._ip = invitation, file, port, ip
        self._kept = read_nonce(file, invitation.id)
        self.nonce = self._kept or new_nonce()
        self._seen_ip: str | None = None
        self._answered = asyncio.Event()
        self.called = asyncio.Event()
        self.is_closed = False
        """Whether the master refuses the invitation, so that the node waits for an operator as well."""

    def challenge_of(self, nonce: str) -> str:
        """Return the challenge that belongs to a nonce."""
        return node_challenge(self.invitation.key, nonce)

    def renew(self) -> Announcement:
        """Return the next announcement. It has another nonce, unless this one has to be kept."""
        self.nonce = self._kept or new_nonce()
        self._answered, self.called = asyncio.Event(), asyncio.Event()
        return announce(self.invitation, self.nonce, self._port, self._ip)

    def accepted(self, ip: str) -> None:
        """Note the address at which the master is going to call."""
        self._seen_ip = ip
        self._answered.set()

    async def keep(self, nonce: str) -> None:
        """Keep this nonce, since a master has proven that it knows its challenge. Raises OSError."""
        if self._kept != nonce:
            body = json.dumps({"invitation": self.invitation.id, "nonce": nonce}).encode()
            await asyncio.to_thread(write_secret, self._file, body)
            self._kept = nonce
        self.called.set()

    async def admits(self, config: NodeConfig) -> bool:
        """Whether a configuration is for the address from which this node announced itself.

        Somebody who repeats its announcement from elsewhere and passes the handshake on would have the node enrolled
        under his own address, and its clients sent to himself.
        """
        if self._ip is None:
            await wait_for_event(self._answered, ANSWER_WAIT_S)
        expected = self._ip or self._seen_ip
        is_own = expected is not None and is_same_address(config.ip, expected)
        if not is_own:
            log.warning("enrolment.other_address", ip=config.ip, expected=expected)
        return is_own

    def forget(self) -> None:
        """Remove the nonce from the disk: the node is enrolled."""
        self._file.unlink(missing_ok=True)


def is_same_address(one: str, other: str) -> bool:
    """Whether two texts are the same address."""
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return False


def read_nonce(file: Path, invitation_id: int) -> str | None:
    """Return the nonce that was kept for this invitation; None if there is none that can be read."""
    try:
        with file.open("rb") as opened:
            body = json.loads(opened.read(FILE_LIMIT))
        nonce = body["nonce"] if body["invitation"] == invitation_id else None
        return nonce if isinstance(nonce, str) and len(bytes.fromhex(nonce)) == len(new_nonce()) // 2 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
