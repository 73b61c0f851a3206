"""The handshake by which a node becomes known, once: both sides prove the challenge, which itself never travels.

A pre-shared-key handshake in the manner of Noise NNpsk0: the challenge is the key, X25519 gives each handshake fresh
keys (HKDF-SHA256), ChaCha20-Poly1305 carries the bodies. Pure: no I/O but the system's random numbers.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.proxies import Id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
LETTERS = 26
"""130 bits."""
CHECK_LETTERS = 2
CHALLENGE_TTL_S = 30 * 60
LABEL = b"maybe-proxy enrolment v1 "
NODE_NONCE, CONFIRM_NONCE = (n.to_bytes(12, "big") for n in (0, 1))


class BadChallenge(ValueError):
    """The text cannot be a challenge: too short, too long or mistyped."""


class BadHandshake(Exception):
    """The other side does not know the challenge, or somebody changed what it said."""


class Hello(BaseModel):
    """The master's opening; byte strings are base64. `mac` proves that it knows the challenge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Annotated[int, Field(ge=1, le=1)] = 1
    e_m: Annotated[str, Field(max_length=64)]
    n_m: Annotated[str, Field(max_length=64)]
    mac: Annotated[str, Field(max_length=64)]


class HelloAnswer(BaseModel):
    """The node's answer; `box` holds NodeFacts and proves that it knows the challenge."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    e_n: Annotated[str, Field(max_length=64)]
    n_n: Annotated[str, Field(max_length=64)]
    box: Annotated[str, Field(max_length=65_536)]


class Box(BaseModel):
    """One sealed body."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    box: Annotated[str, Field(max_length=65_536)]


class NodeFacts(BaseModel):
    """What a node tells of itself; `engines` maps a name to its version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: Annotated[str, Field(max_length=255)] = ""
    os: Annotated[str, Field(max_length=255)] = ""
    agent: Annotated[str, Field(max_length=100)] = ""
    addresses: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=256)] = ()
    engines: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=100)]], Field(max_length=16)
    ] = Field(default_factory=dict[str, str])


class NodeConfig(BaseModel):
    """The standard configuration that a node is given; `amqp_url` names its own login."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    node_id: Id
    name: Annotated[str, Field(max_length=100)]
    cluster: Annotated[str, Field(max_length=100)]
    amqp_url: SecretStr
    queue: Annotated[str, Field(max_length=100)]


def new_challenge() -> str:
    """A fresh random challenge in its written form: 28 letters, dashed in fours."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    return dashed(letters + check_letters(letters))


def dashed(letters: str) -> str:
    """XXXX-XXXX-..."""
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def check_letters(letters: str) -> str:
    """Two letters that betray a typing mistake: ten bits of SHA-256."""
    number = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:2], "big")
    return ALPHABET[number >> 11] + ALPHABET[(number >> 6) & 31]


def read_challenge(text: str) -> str:
    """The 26 letters of a challenge as somebody typed it: dashes, spaces and case do not matter, O is 0, I and L are 1.

    Raises BadChallenge with a reason for a person, which never repeats the text.
    """
    letters = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("OIL", "011"))
    if len(letters) != LETTERS + CHECK_LETTERS:
        raise BadChallenge(f"a challenge has {LETTERS + CHECK_LETTERS} letters and digits, this has {len(letters)}")
    if not set(letters) <= set(ALPHABET):
        raise BadChallenge("a challenge has only letters (without U) and digits in groups of four")
    if check_letters(letters[:LETTERS]) != letters[LETTERS:]:
        raise BadChallenge("the check letters do not fit: a letter is mistyped")
    return letters[:LETTERS]


def challenge_hash(challenge: str) -> str:
    """By which the master knows a challenge again without keeping it. Raises BadChallenge."""
    return hashlib.sha256(LABEL + b"hash " + read_challenge(challenge).encode()).hexdigest()


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


class MasterHandshake:
    """The master's side of one handshake: `hello`, then `read_answer`, then `config`, then `read_confirmation`."""

    def __init__(self, challenge: str) -> None:
        """Raises BadChallenge."""
        self._psk = read_challenge(challenge).encode()
        self._private = X25519PrivateKey.generate()
        e_m, n_m = encode64(self._private.public_key().public_bytes_raw()), encode64(secrets.token_bytes(32))
        self.hello = Hello(e_m=e_m, n_m=n_m, mac=hello_mac(self._psk, e_m, n_m))
        self._keys: Keys | None = None

    def read_answer(self, answer: HelloAnswer) -> NodeFacts:
        """What the node tells of itself. Raises BadHandshake when it does not know the challenge."""
        keys = agree(self._psk, self._private, decode64(answer.e_n), self.hello, answer.e_n, answer.n_n)
        try:
            facts = NodeFacts.model_validate_json(unseal(keys.to_master, NODE_NONCE, keys.transcript, answer.box))
        except ValidationError as error:
            raise BadHandshake("the node's facts cannot be read") from error
        self._keys = keys
        return facts

    def config(self, config: NodeConfig) -> Box:
        """The sealed configuration; once in a handshake."""
        keys = self._agreed()
        body = config.model_dump() | {"amqp_url": config.amqp_url.get_secret_value()}
        return Box(box=seal(keys.to_node, NODE_NONCE, keys.transcript, json.dumps(body).encode()))

    def read_confirmation(self, box: Box, config: NodeConfig) -> None:
        """Raises BadHandshake unless the node itself says that it has written this configuration."""
        keys = self._agreed()
        if unseal(keys.to_master, CONFIRM_NONCE, keys.transcript, box.box) != str(config.node_id).encode():
            raise BadHandshake("the node confirmed another id")

    def _agreed(self) -> Keys:
        if self._keys is None:
            raise BadHandshake("the node has not answered yet")
        return self._keys


class NodeHandshake:
    """The node's side of one handshake: `answer`, then `read_config`, then `confirmation`."""

    def __init__(self, challenge: str, hello: Hello) -> None:
        """Raises BadHandshake when the master does not know the challenge."""
        psk = read_challenge(challenge).encode()
        if not hmac.compare_digest(hello_mac(psk, hello.e_m, hello.n_m).encode(), hello.mac.encode()):
            raise BadHandshake("the proof does not fit the challenge")
        private = X25519PrivateKey.generate()
        self._e_n = encode64(private.public_key().public_bytes_raw())
        self._n_n = encode64(secrets.token_bytes(32))
        self._keys = agree(psk, private, decode64(hello.e_m), hello, self._e_n, self._n_n)

    def answer(self, facts: NodeFacts) -> HelloAnswer:
        """Proof and facts; once in a handshake."""
        box = seal(self._keys.to_master, NODE_NONCE, self._keys.transcript, facts.model_dump_json().encode())
        return HelloAnswer(e_n=self._e_n, n_n=self._n_n, box=box)

    def read_config(self, box: Box) -> NodeConfig:
        """Raises BadHandshake."""
        body = unseal(self._keys.to_node, NODE_NONCE, self._keys.transcript, box.box)
        try:
            return NodeConfig.model_validate_json(body)
        except ValidationError as error:
            raise BadHandshake("the configuration cannot be read") from error

    def confirmation(self, config: NodeConfig) -> Box:
        """Says that the configuration is written; once in a handshake."""
        body = str(config.node_id).encode()
        return Box(box=seal(self._keys.to_master, CONFIRM_NONCE, self._keys.transcript, body))
