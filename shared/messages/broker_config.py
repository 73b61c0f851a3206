"""Bodies of the messages that move a node to other addresses of the broker."""

import re
import ssl
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.messages.fields import MessageModel, Rev, StateName

CONFIG_LIMIT = 16_384
"""Most bytes of a `config`."""
MOST_ADDRESSES = 4
SYSTEM_CA = "system"
"""Stands for the certificate authorities that the node's host trusts."""
BROKER_STATES = ("moved", "trial", "failed")
BrokerState = Literal["moved", "trial", "failed"]
"""trial: the node uses the addresses of `rev`, and its master has not confirmed them yet. moved: it has, and the node
has dropped the addresses from before. failed: the node could not use the addresses of `rev`, and stays where it was."""

_HOST = r"(?:[0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
_ADDRESS = re.compile(rf"amqps?://{_HOST}(?::[0-9]{{1,5}})?(?:/[!$-.0-;=A-Z_a-z~]*)?")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_CERTIFICATES = re.compile(rf"(?:{_CERTIFICATE.pattern}\s*)+")


def broker_address(text: str) -> str:
    """Check an address of a broker, which has neither login nor query. Raises ValueError, which does not repeat it."""
    if not _ADDRESS.fullmatch(text) or not is_port(text):
        raise ValueError("is not an address of the form amqps://host:port/vhost, without login and query")
    return text


def is_port(address: str) -> bool:
    """Whether the address has a port that exists, or none."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def certificate_authorities(text: str) -> str:
    """Check certificates in PEM, of which there is at least one; nothing else may stand between them, since a private
    key would reach every node. Raises ValueError."""
    if text == SYSTEM_CA:
        return text
    if not _CERTIFICATES.fullmatch(text.strip()):
        raise ValueError("is not a list of certificates in PEM, and nothing else")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise ValueError("has a certificate that cannot be read") from error
    return text


def certificates_in(text: str) -> str:
    """Return the certificates of a PEM file without comments and keys; empty if it has none."""
    return "".join(f"{one}\n" for one in _CERTIFICATE.findall(text))


BrokerAddress = Annotated[str, Field(max_length=500), AfterValidator(broker_address)]
Authorities = Annotated[str, Field(max_length=CONFIG_LIMIT), AfterValidator(certificate_authorities)]


class ConfigBody(MessageModel):
    """The addresses of the broker that a node is asked to use, in order of preference, and the certificate authorities
    by which it verifies them: PEM, SYSTEM_CA, or None for a broker without TLS.

    `rev` grows with every change of them in the cluster. The node's login is the same at all of them.
    """

    rev: Annotated[Rev, Field(ge=1)]
    amqp_urls: Annotated[tuple[BrokerAddress, ...], Field(min_length=1, max_length=MOST_ADDRESSES)]
    ca: Authorities | None = None

    @model_validator(mode="after")
    def _is_secured_as_named(self) -> "ConfigBody":
        scheme = "amqp" if self.ca is None else "amqps"
        if any(urlsplit(address).scheme != scheme for address in self.amqp_urls):
            raise ValueError("addresses are amqps:// with certificate authorities, and amqp:// without any")
        return self


class ConfigOkBody(MessageModel):
    """The confirmation, over the new link, that the master has heard the node there."""

    rev: Rev


class BrokerReport(MessageModel):
    """The address of the broker that the node uses (`url`, without login), and how its last move went.

    `rev` is that of the addresses in use, or of those that failed. A node that was never moved reports its address from
    the enrolment at revision 0, as `moved`.
    """

    rev: Rev = 0
    url: Annotated[str, Field(max_length=500, pattern=r"^[!-~]*$")] = ""
    state: StateName = "moved"
    """One of BROKER_STATES, or a state that only a newer node knows."""
    reason: Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")] = ""
    """Why the move failed."""
