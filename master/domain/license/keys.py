"""Licence keys: JSON Web Tokens signed with Ed25519 (RFC 8037), read without any network. Pure.

The algorithm is fixed, whatever the token's header names, so `none` and a key that is misused as a shared secret are
refused (RFC 8725 §3.1). Dates are not checked here: an expired licence is a state, not an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.release.signing import BadKey, read_private_key, read_public_key
from shared.validation_errors import first_error

ALGORITHM = "EdDSA"
LONGEST = 8_192
"""Characters of a licence key; one takes about 500."""
GRACE_DAYS = 14
FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
KEYS: Mapping[str, str] = {
    "2026-a": "3aHwy87CzDRudaVd2yRV+Eo8EWUMhY1p5vsahiqrhyk=",
    "2026-b": "VExa2ZGNZg8wGx6Gfocz1725MpHmJtFGMgAdPBeVZsI=",
}
"""Ed25519 in base64, by key id. The second key is kept apart, for the day when the first one is lost."""

Moment = Annotated[int, Field(ge=0, le=253_402_300_799)]
"""Seconds of Unix time, up to the year 9999."""
LimitClaim = Annotated[int, Field(ge=0, le=10**9)]


class BadLicense(ValueError):
    """The text is no licence of this project. The reason never quotes it."""


class Claims(BaseModel):
    """The content of a licence key, by the registered names of RFC 7519 where there are some."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    jti: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    sub: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    iat: Moment
    nbf: Moment
    exp: Moment
    grace_days: Annotated[int, Field(ge=0, le=365)] = GRACE_DAYS
    max_nodes: LimitClaim | None = None
    max_proxies: LimitClaim | None = None

    @model_validator(mode="after")
    def _ends_after_its_beginning(self) -> "Claims":
        if self.exp <= self.nbf:
            raise ValueError("exp must be later than nbf")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedLicense:
    """A licence whose signature is valid. A limit of None is no limit."""

    id: str
    customer: str
    signed_by: str
    issued_at: datetime
    valid_from: datetime
    valid_to: datetime
    grace_days: int
    max_nodes: int | None
    max_proxies: int | None


def read_license(text: str, keys: Mapping[str, str] = KEYS) -> SignedLicense:
    """Verify a licence key by the public key that its header names. Raises BadLicense."""
    text = text.strip()
    if len(text) > LONGEST or not FORM.fullmatch(text):
        raise BadLicense("is not a licence key, which is three parts of letters, digits, - and _ with dots between")
    return _verified(text, tuple(keys.items()))


@lru_cache(64)
def _verified(text: str, keys: tuple[tuple[str, str], ...]) -> SignedLicense:
    """Verify a token. Raises BadLicense."""
    try:
        name = jwt.get_unverified_header(text).get("kid")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadLicense("has no readable header") from None
    key = dict(keys).get(name) if isinstance(name, str) else None
    if key is None:
        raise BadLicense("is signed by a key that this version does not know; a newer version may know it")
    try:
        content = jwt.decode(text, _public(key), algorithms=[ALGORITHM], options=_NO_DATES)
    except jwt.InvalidAlgorithmError:
        raise BadLicense(f"is not signed with {ALGORITHM}") from None
    except jwt.InvalidSignatureError:
        raise BadLicense("has been changed, or was signed by another key than it names") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadLicense("cannot be decoded") from None
    return _license(content, str(name))


_NO_DATES: Any = {
    "require": ["jti", "sub", "iat", "nbf", "exp"],
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub"), False),
}


def _license(content: Mapping[str, Any], signed_by: str) -> SignedLicense:
    try:
        claims = Claims.model_validate(content)
    except ValidationError as error:
        raise BadLicense(f"has an unusable claim: {first_error(error)}") from None
    return SignedLicense(
        id=claims.jti,
        customer=claims.sub,
        signed_by=signed_by,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
        valid_from=datetime.fromtimestamp(claims.nbf, UTC),
        valid_to=datetime.fromtimestamp(claims.exp, UTC),
        grace_days=claims.grace_days,
        max_nodes=claims.max_nodes,
        max_proxies=claims.max_proxies,
    )


def write_license(claims: Claims, private_pem: bytes, kid: str) -> str:
    """Sign a licence. Raises BadLicense when the PEM file is no unencrypted Ed25519 key."""
    try:
        key = read_private_key(private_pem)
    except BadKey as error:
        raise BadLicense(f"the key file {error}") from None
    return jwt.encode(claims.model_dump(exclude_none=True), key, algorithm=ALGORITHM, headers={"kid": kid})


def _public(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(read_public_key(key))
