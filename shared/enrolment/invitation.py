"""Invitations: one secret by which several nodes enrol themselves, each under a challenge of its own.

The secret never travels. A node draws a nonce, derives its challenge from secret and nonce, waits with that challenge,
and announces nonce and port under a mac. The master derives the same challenge and begins the usual handshake.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.enrolment.challenge import ALPHABET, LETTERS, check_letters, dashed, read_challenge, read_code
from shared.enrolment.keys import derive
from shared.proxies import Id, Port

NONCE_BYTES = 32
ANNOUNCEMENT_LIMIT = 1_024
"""Bytes of an announcement's body; the longest has about 320."""
ANSWER_LIMIT = 4_096
"""Bytes of the answer's body."""
CHALLENGE_BITS = 5 * LETTERS
DIGEST_BITS = 256
PURPOSE_KEY, PURPOSE_CHALLENGE, PURPOSE_MAC = b"invitation", b"invitation challenge", b"invitation announcement"

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BadAnnouncement(ValueError):
    """The body is no announcement: too long, not JSON, or with wrong members."""


@dataclass(frozen=True, slots=True)
class InvitationSecret:
    """An invitation: its id at the master, and the key that its secret stands for."""

    id: int
    key: bytes = field(repr=False)


class Announcement(BaseModel):
    """What a waiting node sends to its master. `mac` proves that it has the invitation; nothing in it is secret.

    `ip` is the address at which the node asks to be called; None: the one from which it sends this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    v: Literal[1] = 1
    invitation: Id
    nonce: Hex32
    port: Port
    ip: Annotated[str, Field(pattern=r"^[0-9a-fA-F:.]{2,45}$")] | None = None
    mac: Hex32


class AnnouncementAnswer(BaseModel):
    """The master's answer: the address at which it is going to call the node, or why it does not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ip: Annotated[str, Field(max_length=45)] | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None


def invitation_key(challenge: str) -> bytes:
    """Derive the key of an invitation from its secret. Raises BadChallenge."""
    return derive(read_challenge(challenge).encode(), b"", PURPOSE_KEY)


def read_invitation(code: str) -> InvitationSecret:
    """Read an invitation as a person typed it. Raises BadChallenge with a reason that never quotes the text."""
    id_, challenge = read_code(code)
    return InvitationSecret(id_, invitation_key(challenge))


def new_nonce() -> str:
    """Draw a nonce."""
    return secrets.token_hex(NONCE_BYTES)


def node_challenge(key: bytes, nonce: str) -> str:
    """Derive the challenge of the node that drew this nonce, in its written form: the first 130 bits of an HMAC."""
    digest = hmac.digest(derive(key, b"", PURPOSE_CHALLENGE), nonce.encode(), "sha256")
    number = int.from_bytes(digest, "big") >> (DIGEST_BITS - CHALLENGE_BITS)
    letters = "".join(ALPHABET[number >> shift & 31] for shift in range(CHALLENGE_BITS - 5, -1, -5))
    return dashed(letters + check_letters(letters))


def announce(invitation: InvitationSecret, nonce: str, port: int, ip: str | None = None) -> Announcement:
    """Make the announcement of a node that waits at this port."""
    mac = announcement_mac(invitation.key, invitation.id, nonce, port, ip)
    return Announcement(invitation=invitation.id, nonce=nonce, port=port, ip=ip, mac=mac)


def is_genuine(announcement: Announcement, key: bytes) -> bool:
    """Whether the announcement was made with this key, compared in constant time."""
    one = announcement
    mac = announcement_mac(key, one.invitation, one.nonce, one.port, one.ip)
    return hmac.compare_digest(mac.encode(), one.mac.encode())


def announcement_mac(key: bytes, id_: int, nonce: str, port: int, ip: str | None) -> str:
    """Compute the proof in an announcement. No member before the last can hold the separator."""
    text = f"1|{id_}|{nonce}|{port}|{ip or ''}"
    return hmac.digest(derive(key, b"", PURPOSE_MAC), text.encode(), "sha256").hex()


def read_announcement(body: bytes) -> Announcement:
    """Read the body of an announcement. Raises BadAnnouncement, which quotes nothing of it."""
    if len(body) > ANNOUNCEMENT_LIMIT:
        raise BadAnnouncement(f"has more than {ANNOUNCEMENT_LIMIT} bytes")
    try:
        return Announcement.model_validate_json(body)
    except ValidationError as error:
        raise BadAnnouncement("is not an announcement") from error
