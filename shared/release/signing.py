"""Signatures of a manifest: Ed25519 (RFC 8032), one line each, `<key id> <base64>`. Pure.

Keys are lines of base64 of the 32 raw bytes, as in `release-keys`. A private key is a PEM file in PKCS #8, which
`openssl pkeyutl -sign -rawin` also reads.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

KEY_BYTES = 32
SIGNATURE_BYTES = 64
SIGNATURES_LIMIT = 4096
"""Bytes of a file of signatures; one takes about 106."""
KEYS_LIMIT = 65_536


class BadSignature(ValueError):
    """No trusted key signed the data."""


class BadKey(ValueError):
    """The text is not a key."""


def new_key() -> bytes:
    """Draw a private key and return its PEM file."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key(private_pem: bytes) -> str:
    """Return the public half of a private key in base64. Raises BadKey."""
    return base64.b64encode(read_private_key(private_pem).public_key().public_bytes_raw()).decode()


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Read the PEM file of a private key. Raises BadKey, which never quotes the file."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise BadKey("is not an unencrypted private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("is not an Ed25519 key")
    return key


def read_public_key(text: str) -> bytes:
    """Return the raw bytes of a public key in base64. Raises BadKey."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadKey(f"{text[:60]!r} is not base64") from None
    if len(raw) != KEY_BYTES:
        raise BadKey(f"{text[:60]!r} has {len(raw)} bytes instead of {KEY_BYTES}")
    return raw


def read_public_keys(text: str) -> tuple[str, ...]:
    """Read a file of public keys, one a line; empty lines and those with # are left out. Raises BadKey."""
    if len(text) > KEYS_LIMIT:
        raise BadKey(f"the file has more than {KEYS_LIMIT} characters")
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    for key in keys:
        read_public_key(key)
    return keys


def key_id(key: str) -> str:
    """Return the id of a public key in base64: the first 16 hexadecimal digits of SHA-256 of its raw bytes."""
    return hashlib.sha256(read_public_key(key)).hexdigest()[:16]


def sign(data: bytes, private_pem: bytes) -> str:
    """Sign data and return the line of the signature. Raises BadKey."""
    signature = read_private_key(private_pem).sign(data)
    return f"{key_id(public_key(private_pem))} {base64.b64encode(signature).decode()}\n"


def verify(data: bytes, signatures: str, keys: Iterable[str]) -> str:
    """Return the id of the trusted key that signed the data. `keys` are public keys in base64. Raises BadSignature."""
    if len(signatures) > SIGNATURES_LIMIT:
        raise BadSignature(f"the file of signatures has more than {SIGNATURES_LIMIT} characters")
    trusted = {key_id(key): key for key in keys}
    found = [(words[0], words[1]) for words in map(str.split, signatures.splitlines()) if len(words) == 2]
    for name, signature in found:
        if name in trusted and is_valid(data, signature, trusted[name]):
            return name
    names = ", ".join(name[:16] for name, _ in found) or "nobody"
    raise BadSignature(f"signed by {names!r}, but valid signatures of {', '.join(trusted) or 'no key'} count")


def is_valid(data: bytes, signature: str, key: str) -> bool:
    """Whether the key made this signature in base64 over the data."""
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(read_public_key(key)).verify(raw, data)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
