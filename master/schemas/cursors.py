"""Where a list goes on: opaque texts of the keys of its last item."""

import base64
import binascii

from shared.proxies import MAX_BIGINT


def cursor(*last: int) -> str:
    """The opaque text by which a list goes on after the item with this id, or with these keys."""
    return base64.urlsafe_b64encode(b"after " + b" ".join(b"%d" % key for key in last)).decode().rstrip("=")


def read_cursor(text: str) -> int:
    """The id in a cursor. Raises ValueError."""
    return read_keys(text, 1)[0]


def read_keys(text: str, count: int) -> tuple[int, ...]:
    """So many keys in a cursor. Raises ValueError."""
    try:
        word, *numbers = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).split(b" ")
        keys = tuple(int(number) for number in numbers)
    except (binascii.Error, ValueError) as error:
        raise ValueError("no cursor of this list") from error
    is_known = word == b"after" and len(keys) == count and all(0 <= key <= MAX_BIGINT for key in keys)
    if not is_known or text != cursor(*keys):
        raise ValueError("no cursor of this list")
    return keys
