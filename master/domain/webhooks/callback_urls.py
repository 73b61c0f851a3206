"""The URLs that the master may call on behalf of others: by default none in private networks."""

from httpx import URL, InvalidURL

from shared.special_addresses import is_public

MAX_LETTERS = 2_000


def target(text: str) -> str:
    """Return the URL unchanged if it can be called. Raises ValueError."""
    try:
        url = URL(text)
    except (InvalidURL, ValueError) as error:
        raise ValueError("is no address of the form https://host/path") from error
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ValueError("has an invalid port")
    if url.scheme not in ("https", "http") or not url.host or not text.isascii() or not text.isprintable():
        raise ValueError("is no address of the form https://host/path")
    if url.userinfo or url.fragment or " " in text:
        raise ValueError("must not have a login, a fragment or a blank")
    return text


def private_literal(text: str) -> bool:
    """Return whether the host of this URL is a literal private address."""
    try:
        return not is_public(URL(text).host)
    except ValueError:
        return False
