"""The master's and the node's side of the handshake, step by step."""

import hmac
import json
import secrets

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import ValidationError

from shared.enrolment.bodies import Box, Hello, HelloAnswer, NodeConfig, NodeFacts
from shared.enrolment.challenge import read_challenge
from shared.enrolment.keys import (
    CONFIRM_NONCE,
    NODE_NONCE,
    BadHandshake,
    Keys,
    agree,
    decode64,
    encode64,
    hello_mac,
    seal,
    unseal,
)


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
        """Open the node's facts. Raises BadHandshake when the node does not know the challenge."""
        keys = agree(self._psk, self._private, decode64(answer.e_n), self.hello, answer.e_n, answer.n_n)
        try:
            facts = NodeFacts.model_validate_json(unseal(keys.to_master, NODE_NONCE, keys.transcript, answer.box))
        except ValidationError as error:
            raise BadHandshake("the node's facts cannot be read") from error
        self._keys = keys
        return facts

    def config(self, config: NodeConfig) -> Box:
        """Seal the configuration; once per handshake."""
        keys = self._agreed()
        body = json.dumps(config.exposed()).encode()
        return Box(box=seal(keys.to_node, NODE_NONCE, keys.transcript, body))

    def read_confirmation(self, box: Box, config: NodeConfig) -> None:
        """Raise BadHandshake unless the node confirms that it has stored this configuration."""
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
            raise BadHandshake("the proof does not match the challenge")
        private = X25519PrivateKey.generate()
        self._e_n = encode64(private.public_key().public_bytes_raw())
        self._n_n = encode64(secrets.token_bytes(32))
        self._keys = agree(psk, private, decode64(hello.e_m), hello, self._e_n, self._n_n)

    def answer(self, facts: NodeFacts) -> HelloAnswer:
        """Seal the node's facts, which is its proof as well; once per handshake."""
        box = seal(self._keys.to_master, NODE_NONCE, self._keys.transcript, facts.model_dump_json().encode())
        return HelloAnswer(e_n=self._e_n, n_n=self._n_n, box=box)

    def read_config(self, box: Box) -> NodeConfig:
        """Open the configuration. Raises BadHandshake."""
        body = unseal(self._keys.to_node, NODE_NONCE, self._keys.transcript, box.box)
        try:
            return NodeConfig.model_validate_json(body)
        except ValidationError as error:
            raise BadHandshake("the configuration cannot be read") from error

    def confirmation(self, config: NodeConfig) -> Box:
        """Confirm that the configuration is stored; once per handshake."""
        body = str(config.node_id).encode()
        return Box(box=seal(self._keys.to_master, CONFIRM_NONCE, self._keys.transcript, body))
