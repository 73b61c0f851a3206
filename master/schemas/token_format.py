"""The form of a token: `mp_`, 30 random letters and digits, and 6 check digits. Pure but for the drawing.

The check digits are the CRC-32 of everything before them, so that a mistyped token is known as such without a look at
the database, and scanners of source code can recognize a leaked one. 30 of 62 letters are 178 bits.
"""

import secrets
import string
from hashlib import sha256
from zlib import crc32

PREFIX = "mp_"
LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM, CHECK = 30, 6
LENGTH = len(PREFIX) + RANDOM + CHECK


def new_token() -> str:
    """Draw a token."""
    return with_check_digits(PREFIX + "".join(secrets.choice(LETTERS) for _ in range(RANDOM)))


def with_check_digits(begin: str) -> str:
    """Append the check digits."""
    rest, digits = crc32(begin.encode()), ""
    for _ in range(CHECK):
        rest, digit = divmod(rest, len(LETTERS))
        digits = LETTERS[digit] + digits
    return begin + digits


def fault_of(text: str) -> str | None:
    """Return why a text cannot be a token, without repeating any of it; None if it may be one."""
    if not text.startswith(PREFIX):
        return f"a token begins with {PREFIX}"
    if len(text) != LENGTH:
        return f"a token has {LENGTH} characters, not {len(text)}"
    if not set(text.removeprefix(PREFIX)) <= set(LETTERS):
        return f"a token has only letters and digits after {PREFIX}"
    if with_check_digits(text[:-CHECK]) != text:
        return "the token is mistyped: its check digits do not fit"
    return None


def token_hash(token: str) -> str:
    """Return what is stored of a token. It needs no salt and no slow hash, because it is not guessable."""
    return sha256(token.encode()).hexdigest()
