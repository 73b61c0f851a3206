"""Licences that tests sign with keys of their own."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from master.domain.license import keys
from master.domain.license.keys import Claims, write_license
from shared.release.signing import new_key, read_private_key

DAY = 86_400
PRIVATE, STRANGER = new_key(), new_key()
KID = "test"


def public(pem: bytes) -> str:
    """The public half in base64."""
    return base64.b64encode(read_private_key(pem).public_key().public_bytes_raw()).decode()


@contextmanager
def trusted_test_key() -> Iterator[None]:
    """The master trusts the key of the tests until the end of the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(keys.KEYS, KID, public(PRIVATE))  # pyright: ignore[reportArgumentType] (a dict in fact)
        yield


def signed(*, private: bytes = PRIVATE, kid: str = KID, **claims: Any) -> str:
    """A licence key; times are in days from now."""
    now = int(time.time())
    days = {"iat": 0.0, "nbf": -1.0, "exp": 100.0} | {
        name: claims.pop(name) for name in ("iat", "nbf", "exp") if name in claims
    }
    moments: dict[str, int] = {name: now + int(day * DAY) for name, day in days.items()}
    return write_license(Claims(**{"jti": "L-1", "sub": "Example"} | moments | claims), private, kid)


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes) -> str:
    """A token with these parts, whatever they are."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def payload_of(key: str) -> dict[str, Any]:
    """The claims of a licence key."""
    return json.loads(base64.urlsafe_b64decode(key.split(".")[1] + "=="))


def raw_private(pem: bytes = PRIVATE) -> Ed25519PrivateKey:
    """The private key itself."""
    return read_private_key(pem)
