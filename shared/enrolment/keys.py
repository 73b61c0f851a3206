"""The keys of one handshake, and what is sealed with them."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.enrolment.bodies import Hello
from shared.enrolment.challenge import LABEL

NODE_NONCE, CONFIRM_NONCE = (n.to_bytes(12, "big") for n in (0, 1))


class BadHandshake(Exception):
    """The other side does not know the challenge, or somebody changed what it said."""


def derive(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """32 bytes for one purpose."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=LABEL + purpose).derive(secret)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one handshake, one for each direction, and what both saw of it."""

    to_node: bytes = field(repr=False)
    to_master: bytes = field(repr=False)
    transcript: bytes = field(repr=False)


def agree(psk: bytes, private: X25519PrivateKey, their_public: bytes, hello: Hello, e_n: str, n_n: str) -> Keys:
    """Fresh keys out of the challenge and both ephemeral keys. Raises BadHandshake."""
    transcript = hashlib.sha256(LABEL + "|".join((hello.e_m, hello.n_m, hello.mac, e_n, n_n)).encode()).digest()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(their_public))
    except ValueError as error:
        raise BadHandshake("no X25519 public key") from error
    return Keys(
        to_node=derive(shared + psk, transcript, b"master to node"),
        to_master=derive(shared + psk, transcript, b"node to master"),
        transcript=transcript,
    )


def seal(key: bytes, nonce: bytes, transcript: bytes, body: bytes) -> str:
    """The body, encrypted and bound to its handshake; a key and nonce are used once."""
    return encode64(ChaCha20Poly1305(key).encrypt(nonce, body, transcript))


def unseal(key: bytes, nonce: bytes, transcript: bytes, box: str) -> bytes:
    """What was sealed. Raises BadHandshake."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, decode64(box), transcript)
    except InvalidTag as error:
        raise BadHandshake("the sealed body does not open") from error


def encode64(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


def decode64(text: str) -> bytes:
    """The bytes of strict base64. Raises BadHandshake."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadHandshake("not base64") from error


def hello_mac(psk: bytes, e_m: str, n_m: str) -> str:
    """The proof in a hello."""
    key = derive(psk, b"", b"hello")
    return encode64(hmac.digest(key, f"1|{e_m}|{n_m}".encode(), "sha256"))
