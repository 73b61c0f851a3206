"""Reads where the broker is to be, out of the body of a request and the present link. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from master.broker_links.links import BrokerLink, with_login
from master.domain.broker_links.schemas import NewBrokerLink
from master.errors import Invalid, invalid_at
from master.setting_values import management_addresses
from shared.bus.addresses import SYSTEM, spread, without_login
from shared.messages.bodies import ConfigBody
from shared.messages.broker_config import CONFIG_LIMIT, MOST_URLS, certificates_in
from shared.messages.writing import encode
from shared.proxies import MAX_BIGINT, NodeId
from shared.validation_errors import first_error


def changed_link(body: NewBrokerLink, now: BrokerLink) -> BrokerLink:
    """Return the present link with the members of the body. Raises Invalid."""
    given = body.model_fields_set
    link = replace(now, state="new")
    if "ca" in given:
        link = replace(link, ca=usable_authorities(body.ca))
    if "amqp_urls" in given:
        urls = tuple(with_own_login(url, now) for url in body.amqp_urls)
        follows = now.node_amqp_urls == now.broker.bare_urls
        if not follows and "node_amqp_urls" not in given:
            raise invalid_at("name the addresses for nodes, too: so far they differ from amqp_urls", "/node_amqp_urls")
        link = replace(link, amqp_urls=urls, node_amqp_urls=tuple(map(without_login, body.amqp_urls)))
    if "management_urls" in given:
        link = replace(link, management_urls=usable_management(body.management_urls))
    if "node_amqp_urls" in given:
        link = replace(link, node_amqp_urls=without_logins(body.node_amqp_urls))
    check_link(link)
    if (link.content, link.node_amqp_urls) == (now.content, now.node_amqp_urls):
        raise invalid_at("the broker is at this place already", "")
    return link


def with_own_login(url: str, now: BrokerLink) -> SecretStr:
    """Return an address with its login, or with the present one if it has none."""
    secret = SecretStr(url)
    return secret if "@" in urlsplit(url).netloc else with_login(secret, now.broker.login)


def without_logins(urls: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses for nodes. Raises Invalid if one has a login."""
    if any("@" in url for url in urls):
        raise invalid_at("have no login: every node has its own", "/node_amqp_urls")
    return tuple(urls)


def usable_authorities(text: str | None) -> str | None:
    """Return the certificates without comments and keys. Raises Invalid."""
    if text is None or text == SYSTEM:
        return text
    if not (found := certificates_in(text)):
        raise invalid_at("has no certificate in PEM", "/ca")
    return found


def usable_management(urls: Sequence[str]) -> tuple[str, ...]:
    """Read the addresses of the management API. Raises Invalid."""
    try:
        return management_addresses(",".join(urls))
    except ValueError as error:
        raise invalid_at(str(error), "/management_urls") from error


def check_link(link: BrokerLink) -> None:
    """Check that masters and nodes can read the addresses. Raises Invalid."""
    try:
        _ = link.broker
    except ValueError as error:
        raise invalid_at(str(error), "/amqp_urls") from error
    try:
        config = config_of(replace(link, rev=MAX_BIGINT), NodeId(1))
    except ValidationError as error:
        raise invalid_at(first_error(error), "/node_amqp_urls") from error
    except ValueError as error:
        raise invalid_at(str(error), "/node_amqp_urls") from error
    if len(encode(config)) > CONFIG_LIMIT:
        raise invalid_at(f"a message with these would have more than {CONFIG_LIMIT} bytes", "/ca")


def config_of(link: BrokerLink, node_id: NodeId) -> ConfigBody:
    """Return the message that asks a node to use this link. Raises ValueError."""
    addresses = link.node_broker
    ca = addresses.ca if addresses.ca in (None, SYSTEM) else certificates_in(addresses.ca)
    return ConfigBody(rev=link.rev, amqp_urls=spread(addresses.bare_urls, node_id)[:MOST_URLS], ca=ca)


def unusable(member: str, reason: str) -> Invalid:
    """Return the refusal of a link that the master has tried."""
    return invalid_at(reason, f"/{member}")
