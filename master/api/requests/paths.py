"""Checks that a path is spelt canonically, so that each resource has one path. Pure.

Each segment is its name in UTF-8, percent-encoded where RFC 3986 demands it, with upper-case digits. Only of the
sub-delimiters, ":" and "@" both forms are taken, since encoders differ there (RFC 3986 §2.2); no fixed part of a path
and no id has any. A slash at the end, an empty segment, "." and "..", and an encoded slash are never canonical.
"""

import re
from urllib.parse import unquote_to_bytes

SEGMENT = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+")
ESCAPE = re.compile(rb"%([0-9A-F]{2})")
NEVER_ESCAPED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
CONTROLS = frozenset((*range(0x20), 0x7F))


def is_canonical(raw_path: bytes) -> bool:
    """Whether the path, as it came and without its query, is spelt canonically."""
    before, *segments = raw_path.split(b"/")
    return before == b"" and (segments == [b""] or (bool(segments) and all(map(is_segment, segments))))


def is_segment(segment: bytes) -> bool:
    """Whether this is the spelling of a name, and of no other."""
    escaped = {int(digits, 16) for digits in ESCAPE.findall(segment)}
    if not SEGMENT.fullmatch(segment) or segment in (b".", b"..") or escaped & (NEVER_ESCAPED | CONTROLS):
        return False
    try:
        unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return False
    return True
