"""Credentials in HTTP header fields (RFC 7617)."""

import binascii


def basic_credentials(value: bytes | None) -> bytes | None:
    """Decode a Proxy-Authorization value to `name:password`; None for any other scheme or invalid base64."""
    if value is None:
        return None
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return binascii.a2b_base64(token.strip(b" \t"), strict_mode=True)
    except binascii.Error:
        return None
