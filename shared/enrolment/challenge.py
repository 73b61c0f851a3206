"""The challenge by which a waiting node is known: drawn, written, and read again as somebody typed it."""

import hashlib
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
    """A fresh random challenge in its written form: 28 letters, dashed in fours."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    return dashed(letters + check_letters(letters))


def dashed(letters: str) -> str:
    """XXXX-XXXX-..."""
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def check_letters(letters: str) -> str:
    """Two letters that betray a typing mistake: ten bits of SHA-256."""
    number = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:2], "big")
    return ALPHABET[number >> 11] + ALPHABET[(number >> 6) & 31]


def read_challenge(text: str) -> str:
    """The 26 letters of a challenge as somebody typed it: dashes, spaces and case do not matter, O is 0, I and L are 1.

    Raises BadChallenge with a reason for a person, which never repeats the text.
    """
    letters = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("OIL", "011"))
    if len(letters) != LETTERS + CHECK_LETTERS:
        raise BadChallenge(f"a challenge has {LETTERS + CHECK_LETTERS} letters and digits, this has {len(letters)}")
    if not set(letters) <= set(ALPHABET):
        raise BadChallenge("a challenge has only letters (without U) and digits in groups of four")
    if check_letters(letters[:LETTERS]) != letters[LETTERS:]:
        raise BadChallenge("the check letters do not fit: a letter is mistyped")
    return letters[:LETTERS]


def challenge_hash(challenge: str) -> str:
    """By which the master knows a challenge again without keeping it. Raises BadChallenge."""
    return hashlib.sha256(LABEL + b"hash " + read_challenge(challenge).encode()).hexdigest()
