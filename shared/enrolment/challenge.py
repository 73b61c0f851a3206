"""The challenge of a waiting node: drawing it, writing it, and reading it as a person typed it."""

import hashlib
import re
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
LETTERS = 26
"""130 bits."""
CHECK_LETTERS = 2
CHALLENGE_TTL_S = 30 * 60
LABEL = b"maybe-proxy enrolment v1 "


class BadChallenge(ValueError):
    """The text cannot be a challenge: too short, too long or mistyped."""


def new_challenge() -> str:
    """Draw a random challenge in its written form: 28 letters in groups of four."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    return dashed(letters + check_letters(letters))


def dashed(letters: str) -> str:
    """Group letters: XXXX-XXXX-..."""
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def check_letters(letters: str) -> str:
    """Compute two letters that reveal a typing mistake: ten bits of SHA-256."""
    number = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:2], "big")
    return ALPHABET[number >> 11] + ALPHABET[(number >> 6) & 31]


def read_challenge(text: str) -> str:
    """Read a challenge as a person typed it: dashes, spaces and case do not matter, O is 0, I and L are 1.

    Returns its 26 letters without the check letters. Raises BadChallenge with a reason that never quotes the text.
    """
    letters = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("OIL", "011"))
    if len(letters) != LETTERS + CHECK_LETTERS:
        raise BadChallenge(f"must have {LETTERS + CHECK_LETTERS} letters and digits, but has {len(letters)}")
    if not set(letters) <= set(ALPHABET):
        raise BadChallenge("must have only letters (except U) and digits, in groups of four")
    if check_letters(letters[:LETTERS]) != letters[LETTERS:]:
        raise BadChallenge("is mistyped: the check letters at its end do not match")
    return letters[:LETTERS]


def invitation_code(id_: int, challenge: str) -> str:
    """Write the code of an invitation: its id, a dash, and its secret in the form of a challenge."""
    return f"{id_}-{challenge}"


def read_code(code: str) -> tuple[int, str]:
    """Read the id and the secret of an invitation's code. Raises BadChallenge with a reason that never quotes it."""
    number, dash, challenge = code.strip().partition("-")
    if not dash or not re.fullmatch(r"[1-9][0-9]{0,17}", number):
        raise BadChallenge("must begin with the number of an invitation and a dash")
    read_challenge(challenge)
    return int(number), challenge


def challenge_hash(challenge: str) -> str:
    """Hash a challenge, so that the master recognises it without storing it. Raises BadChallenge."""
    return hashlib.sha256(LABEL + b"hash " + read_challenge(challenge).encode()).hexdigest()
