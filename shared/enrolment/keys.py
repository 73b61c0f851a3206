"""Keys of one handshake, and sealing bodies with them."""

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
    """The other side does not know the challenge, or its message was changed on the way."""


def derive(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """Derive 32 bytes for one purpose."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=LABEL + purpose).derive(secret)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one handshake, one for each direction, and the hash of the messages so far."""

    to_node: bytes = field(repr=False)
    to_master: bytes = field(repr=False)
    transcript: bytes = field(repr=False)


def agree(psk: bytes, private: X25519PrivateKey, their_public: bytes, hello: Hello, e_n: str, n_n: str) -> Keys:
    """Derive fresh keys from the challenge and both ephemeral keys. Raises BadHandshake."""
    transcript = hashlib.sha256(LABEL + "|".join((hello.e_m, hello.n_m, hello.mac, e_n, n_n)).encode()).digest()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(their_public))
    except ValueError as error:
        raise BadHandshake("not an X25519 public key") from error
    return Keys(
        to_node=derive(shared + psk, transcript, b"master to node"),
        to_master=derive(shared + psk, transcript, b"node to master"),
        transcript=transcript,
    )


def seal(key: bytes, nonce: bytes, transcript: bytes, body: bytes) -> str:
    """Encrypt a body and bind it to its handshake. A pair of key and nonce must be used only once."""
    return encode64(ChaCha20Poly1305(key).encrypt(nonce, body, transcript))


def unseal(key: bytes, nonce: bytes, transcript: bytes, box: str) -> bytes:
    """Decrypt a sealed body. Raises BadHandshake."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, decode64(box), transcript)
    except InvalidTag as error:
        raise BadHandshake("the sealed body cannot be decrypted") from error


def encode64(data: bytes) -> str:
    """Encode bytes as base64."""
    return base64.b64encode(data).decode()


def decode64(text: str) -> bytes:
    """Decode strict base64. Raises BadHandshake."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadHandshake("not base64") from error


def hello_mac(psk: bytes, e_m: str, n_m: str) -> str:
    """Compute the proof in a Hello."""
    key = derive(psk, b"", b"hello")
    return encode64(hmac.digest(key, f"1|{e_m}|{n_m}".encode(), "sha256"))
