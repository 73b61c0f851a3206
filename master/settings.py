"""Reads the master's settings from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from master.errors import BadConfiguration
from master.schemas.hosts import plain_host, url_host
from shared.logs import LogLevel

QueueType = Literal["classic", "quorum"]
Flag = Literal["yes", "no"]
MOST_DAYS = 3_650

REQUIRED = (
    "AMQP_URL",
    "RABBITMQ_MANAGEMENT_URL",
    "DATABASE_HOST",
    "DATABASE_USERNAME",
    "DATABASE_PASSWORD",
    "DATABASE_NAME",
)
OPTIONAL = (
    "DATABASE_PORT",
    "NODE_AMQP_URL",
    "QUEUE_TYPE",
    "LICENSE_KEY",
    "API_HOST",
    "API_PORT",
    "API_HOSTS",
    "PUBLIC_URL",
    "ENROL_PORTS",
    "CHECK_TARGET",
    "EVENTS_KEEP_DAYS",
    "HISTORY_KEEP_DAYS",
    "WEBHOOK_ALLOW_PRIVATE",
    "LOG_LEVEL",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings. `amqp_url` has the master's own login, an administrator's; `node_amqp_url` is what nodes are "
    "given."""

    database: Mapping[str, Any] = field(repr=False)
    amqp_url: SecretStr
    node_amqp_url: str
    management_url: str
    queue_type: QueueType
    license_key: SecretStr | None
    api_host: str
    api_port: int
    events_keep_days: int
    history_keep_days: int
    webhook_allow_private: bool
    log_level: LogLevel
    check_target: str | None = None
    api_hosts: frozenset[str] = frozenset()
    public_url: str | None = None
    enrol_ports: tuple[range, ...] = (range(3006, 3007),)

    @property
    def own_hosts(self) -> frozenset[str]:
        """The host names of the API: those of API_HOSTS, and that of PUBLIC_URL."""
        return self.api_hosts | ({url_host(self.public_url)} if self.public_url else set[str]())


def missing(env: Mapping[str, str]) -> list[str]:
    """List the required settings that have no value."""
    return [variable for variable in REQUIRED if not env.get(variable)]


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read all settings. Raises BadConfiguration with the variable's name."""
    amqp_url = url(env, "AMQP_URL", ("amqp", "amqps"), required=True)
    management = url(env, "RABBITMQ_MANAGEMENT_URL", ("http", "https"), required=True)
    node_amqp_url = url(env, "NODE_AMQP_URL", ("amqp", "amqps"), required=False) or amqp_url
    return Settings(
        database={
            "host": required(env, "DATABASE_HOST"),
            "port": number(env, "DATABASE_PORT", 5432),
            "user": required(env, "DATABASE_USERNAME"),
            "password": required(env, "DATABASE_PASSWORD"),
            "database": required(env, "DATABASE_NAME"),
        },
        amqp_url=SecretStr(amqp_url),
        node_amqp_url=without_login(node_amqp_url),
        management_url=without_login(management).rstrip("/"),
        queue_type=one_of(env, "QUEUE_TYPE", QueueType, "classic"),
        license_key=SecretStr(env["LICENSE_KEY"]) if env.get("LICENSE_KEY") else None,
        api_host=address(env, "API_HOST", "0.0.0.0"),
        api_port=number(env, "API_PORT", 3005),
        events_keep_days=days(env, "EVENTS_KEEP_DAYS", 30),
        history_keep_days=days(env, "HISTORY_KEEP_DAYS", 180),
        webhook_allow_private=one_of(env, "WEBHOOK_ALLOW_PRIVATE", Flag, "no") == "yes",
        log_level=one_of(env, "LOG_LEVEL", LogLevel, "info"),
        check_target=url(env, "CHECK_TARGET", ("http", "https"), required=False) or None,
        api_hosts=host_names(env, "API_HOSTS"),
        public_url=public_url(env, "PUBLIC_URL"),
        enrol_ports=port_ranges(env, "ENROL_PORTS", "3006"),
    )


def required(env: Mapping[str, str], variable: str) -> str:
    """Read a value that must be present."""
    value = env.get(variable)
    if not value:
        raise BadConfiguration(variable, "is not set")
    return value


def number(env: Mapping[str, str], variable: str, default: int) -> int:
    """Read a port number."""
    text = env.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise BadConfiguration(variable, f"{text!r} is not a port number")
    return int(text)


def days(env: Mapping[str, str], variable: str, default: int) -> int:
    """Read a number of days, 1 to 3650."""
    text = env.get(variable) or str(default)
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MOST_DAYS:
        raise BadConfiguration(variable, f"{text!r} is not a number of days from 1 to {MOST_DAYS}")
    return int(text)


def address(env: Mapping[str, str], variable: str, default: str) -> str:
    """Read a literal IP address."""
    text = env.get(variable) or default
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise BadConfiguration(variable, f"{text!r} is not an IP address") from error


def url(env: Mapping[str, str], variable: str, schemes: tuple[str, ...], *, required: bool) -> str:
    """Read an address with one of these schemes and a host; errors never repeat its login."""
    text = env.get(variable) or ""
    if not text:
        if required:
            raise BadConfiguration(variable, "is not set")
        return ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadConfiguration(variable, f"is not an address of the form {schemes[0]}://user:password@host:port/")
    return text


def host_names(env: Mapping[str, str], variable: str) -> frozenset[str]:
    """Read host names with commas between, in the form in which they are compared with a Host field."""
    names = [text.strip() for text in (env.get(variable) or "").split(",") if text.strip()]
    found = {text: plain_host(text) for text in names}
    if wrong := [text for text, host in found.items() if host is None]:
        raise BadConfiguration(variable, f"{wrong[0]!r} is not a host name (without scheme, port and wildcard)")
    return frozenset(host for host in found.values() if host is not None)


def public_url(env: Mapping[str, str], variable: str) -> str | None:
    """Read an http or https URL without login, query, fragment and trailing slash; None if it is not set."""
    text = env.get(variable) or ""
    if not text:
        return None
    address = url(env, variable, ("http", "https"), required=True)
    parts = urlsplit(address)
    is_plain = text.isascii() and text.isprintable() and " " not in text and not set(text) & set('?#@\\"<>')
    if not is_plain or not url_host(address) or parts.query:
        raise BadConfiguration(variable, "is not an address of the form https://host/path, without login and query")
    return address.rstrip("/")


def port_ranges(env: Mapping[str, str], variable: str, default: str) -> tuple[range, ...]:
    """Read ports and ranges of ports with commas between, such as 3006,3100-3199."""
    text = env.get(variable) or default
    found = [re.fullmatch(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", part) for part in text.split(",")]
    ranges = [range(int(one[1]), int(one[2] or one[1]) + 1) for one in found if one]
    if len(ranges) < len(found) or not all(1 <= each.start < each.stop <= 65536 for each in ranges):
        raise BadConfiguration(variable, f"{text!r} is not a list of ports and ranges, such as 3006,3100-3199")
    return tuple(ranges)


def without_login(address_: str) -> str:
    """Return the address without user name and password."""
    parts = urlsplit(address_)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def login(amqp_url: SecretStr) -> tuple[str, str]:
    """Return (user name, password) of an address; guest where there is none, as AMQP clients do."""
    parts = urlsplit(amqp_url.get_secret_value())
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def vhost(amqp_url: str) -> str:
    """Return the virtual host of an address: "/" if its path is empty or just a slash."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


def one_of(env: Mapping[str, str], variable: str, choices: Any, default: str) -> Any:
    """Read one of the words of a Literal type."""
    text = (env.get(variable) or default).lower()
    if text not in get_args(choices):
        raise BadConfiguration(variable, f"{text!r} is none of {', '.join(get_args(choices))}")
    return text
