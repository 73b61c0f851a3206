"""Bodies of the messages that move a node to other addresses of the broker."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.bus.addresses import SYSTEM, BrokerAddresses, addresses, ssl_context
from shared.messages.fields import MessageModel, Rev, StateName

CONFIG_LIMIT = 16_384
"""Most bytes of a `config`."""
MOST_URLS = 4
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


def with_login(address: str, user: str, password: str) -> str:
    """Return the address with this login."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def is_port(address: str) -> bool:
    """Whether the address has a port that exists, or none."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def certificate_authorities(text: str) -> str:
    """Check certificates in PEM, of which there is at least one; nothing else may stand between them, since a private
    key would reach every node. Raises ValueError."""
    if text != SYSTEM:
        if not _CERTIFICATES.fullmatch(text.strip()):
            raise ValueError("is not a list of certificates in PEM, and nothing else")
        ssl_context(text)
    return text


def certificates_in(text: str) -> str:
    """Return the certificates of a PEM file without comments and keys; empty if it has none."""
    return "".join(f"{one}\n" for one in _CERTIFICATE.findall(text))


BrokerAddress = Annotated[str, Field(max_length=500), AfterValidator(broker_address)]
Authorities = Annotated[str, Field(max_length=CONFIG_LIMIT), AfterValidator(certificate_authorities)]


class BrokerTarget(MessageModel):
    """Addresses of the broker, in order of preference, and the certificate authorities by which they are verified: PEM,
    "system" for those that the node's host trusts, or None for a broker without TLS."""

    amqp_urls: Annotated[tuple[BrokerAddress, ...], Field(min_length=1, max_length=MOST_URLS)]
    ca: Authorities | None = None

    @model_validator(mode="after")
    def _is_secured_as_named(self) -> Self:
        scheme = "amqp" if self.ca is None else "amqps"
        if any(urlsplit(address).scheme != scheme for address in self.amqp_urls):
            raise ValueError("addresses are amqps:// with certificate authorities, and amqp:// without any")
        self.addresses("node", "")
        return self

    def addresses(self, user: str, password: str) -> BrokerAddresses:
        """Return the addresses with this login."""
        return addresses([with_login(url, user, password) for url in self.amqp_urls], self.ca)


class ConfigBody(BrokerTarget):
    """A request that the node uses these addresses of the broker, at all of which its login is the same.

    `rev` grows with every change of them in the cluster.
    """

    rev: Annotated[Rev, Field(ge=1)]


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
