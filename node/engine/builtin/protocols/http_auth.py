"""Credentials in HTTP header fields (RFC 7617)."""

import binascii


def basic_credentials(value: bytes | None) -> bytes | None:
    """`name:password` out of a Proxy-Authorization value (RFC 7617); None for any other scheme or bad base64."""
    if value is None:
        return None
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return binascii.a2b_base64(token.strip(b" \t"), strict_mode=True)
    except binascii.Error:
        return None
