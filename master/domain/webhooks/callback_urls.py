"""Which addresses the master may call when somebody else says where: none that is private."""

from httpx import URL, InvalidURL

from shared.special_addresses import is_public

MOST_LETTERS = 2_000


def target(text: str) -> str:
    """The address as it came, when it can be called. Raises ValueError."""
    try:
        url = URL(text)
    except (InvalidURL, ValueError) as error:
        raise ValueError("is no address of the form https://host/path") from error
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ValueError("has a port that there is not")
    if url.scheme not in ("https", "http") or not url.host or not text.isascii() or not text.isprintable():
        raise ValueError("is no address of the form https://host/path")
    if url.userinfo or url.fragment or " " in text:
        raise ValueError("has a login, a fragment or a blank, which an address to call has not")
    return text


def private_literal(text: str) -> bool:
    """Whether the host of this address is a private one, literally."""
    try:
        return not is_public(URL(text).host)
    except ValueError:
        return False
