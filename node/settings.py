"""Reads the node's settings from the environment."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import cast, get_args

from node.errors import NodeConfigurationError
from shared.destinations import DENY_PORTS, canonical_ports
from shared.engine.defaults import FAILED_LOGINS, HALF_CLOSED_S, VIA
from shared.logs import LogLevel

VARIABLES = (
    "NODE_DATA_DIR",
    "NODE_LISTEN",
    "NODE_ENROL_HOST",
    "NODE_ENROL_PORT",
    "NODE_CHALLENGE_FILE",
    "NODE_WORKERS",
    "NODE_ALLOW_DESTINATIONS",
    "NODE_DENY_PORTS",
    "NODE_CONNECTIONS_PER_SOURCE",
    "NODE_UNADMITTED_CONNECTIONS",
    "NODE_FAILED_LOGINS",
    "NODE_HALF_CLOSED_S",
    "NODE_VIA",
    "THREE_PROXY",
    "LOG_LEVEL",
)

DATA_DIR = Path("/var/lib/maybe-node")
"""The default of NODE_DATA_DIR."""

_PSEUDONYM = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(:[0-9]{1,5})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings.

    `listen` is the address on which proxies listen; None means every address of the host. Proxies may connect to the
    networks of `allow_destinations`, although they are private to the node. `connections_per_source` and
    `unadmitted_connections` default to a share of the descriptors that a worker may have. `via` is the name of the
    proxies in Via fields; empty: they add none. A client that has closed its side may receive for `half_closed_s`
    more seconds.
    """

    data_dir: Path
    enrol_host: str
    enrol_port: int
    listen: str | None
    three_proxy: Path | None
    challenge_file: Path | None
    workers: int
    allow_destinations: tuple[str, ...]
    deny_ports: tuple[int | str, ...]
    connections_per_source: int | None
    unadmitted_connections: int | None
    failed_logins: int
    half_closed_s: int
    via: str
    log_level: LogLevel

    @property
    def identity_file(self) -> Path:
        """The file with the node's identity."""
        return self.data_dir / "identity.json"

    @property
    def builtin_dir(self) -> Path:
        """The folder of the built-in engine."""
        return self.data_dir / "builtin"

    @property
    def copy_file(self) -> Path:
        """The file of the local copy."""
        return self.data_dir / "copy.db"

    @property
    def pid_file(self) -> Path:
        """The file with the agent's pid; locked while the agent runs."""
        return self.data_dir / "agent.pid"


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read all settings. Raises NodeConfigurationError with the variable's name."""
    data_dir = Path(env.get("NODE_DATA_DIR") or DATA_DIR)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NodeConfigurationError("NODE_DATA_DIR", f"{data_dir} cannot be made: {error.strerror}") from error
    if not os.access(data_dir, os.W_OK | os.X_OK) and not is_kept_read_only(data_dir):
        raise NodeConfigurationError("NODE_DATA_DIR", f"{data_dir} cannot be written")
    return Settings(
        data_dir=data_dir.resolve(),
        enrol_host=address(env, "NODE_ENROL_HOST") or "0.0.0.0",
        enrol_port=number(env, "NODE_ENROL_PORT", 3006, 1, 65535),
        listen=address(env, "NODE_LISTEN"),
        three_proxy=three_proxy(env),
        challenge_file=Path(env["NODE_CHALLENGE_FILE"]) if env.get("NODE_CHALLENGE_FILE") else None,
        workers=number(env, "NODE_WORKERS", os.cpu_count() or 1, 1, 256),
        connections_per_source=optional_number(env, "NODE_CONNECTIONS_PER_SOURCE", 1, 10**6),
        unadmitted_connections=optional_number(env, "NODE_UNADMITTED_CONNECTIONS", 2, 10**6),
        failed_logins=number(env, "NODE_FAILED_LOGINS", FAILED_LOGINS, 1, 1000),
        half_closed_s=number(env, "NODE_HALF_CLOSED_S", HALF_CLOSED_S, 1, 3600),
        via=pseudonym(env, "NODE_VIA", VIA),
        allow_destinations=networks(env, "NODE_ALLOW_DESTINATIONS"),
        deny_ports=ports(env, "NODE_DENY_PORTS", DENY_PORTS),
        log_level=log_level(env),
    )


def is_kept_read_only(data_dir: Path) -> bool:
    """Whether the file system is read-only but has a node's data, which the node still serves."""
    is_read_only = bool(os.statvfs(data_dir).f_flag & os.ST_RDONLY)
    return is_read_only and (data_dir / "copy.db").exists() and os.access(data_dir, os.R_OK | os.X_OK)


def three_proxy(env: Mapping[str, str]) -> Path | None:
    """Find the 3proxy binary: named by the setting, or on PATH, or none."""
    named = env.get("THREE_PROXY")
    if not named:
        found = shutil.which("3proxy", path=env.get("PATH"))
        return Path(found) if found else None
    if not os.access(named, os.X_OK):
        raise NodeConfigurationError("THREE_PROXY", f"{named} is not an executable file")
    return Path(named)


def address(env: Mapping[str, str], variable: str) -> str | None:
    """Read a literal IP address; None if the variable is not set."""
    text = env.get(variable)
    if not text:
        return None
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise NodeConfigurationError(variable, f"{text!r} is not an IP address") from error


def networks(env: Mapping[str, str], variable: str) -> tuple[str, ...]:
    """Read networks and addresses with commas or spaces between; none if the variable is not set."""
    texts = env.get(variable, "").replace(",", " ").split()
    try:
        return tuple(str(ip_network(text, strict=False)) for text in texts)
    except ValueError as error:
        raise NodeConfigurationError(variable, f"{env[variable]!r} is not a list of networks") from error


def ports(env: Mapping[str, str], variable: str, default: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Read ports and ranges "from-to" with commas or spaces between; the word `none` means none."""
    texts = env.get(variable, "").replace(",", " ").split()
    if not texts or texts == ["none"]:
        return () if texts else default
    try:
        return canonical_ports(int(text) if text.isascii() and text.isdigit() else text for text in texts)
    except ValueError as error:
        raise NodeConfigurationError(variable, f"{env[variable]!r} is not a list of ports: {error}") from error


def number(env: Mapping[str, str], variable: str, default: int, least: int, most: int) -> int:
    """Read a whole number in this range."""
    text = env.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise NodeConfigurationError(variable, f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def optional_number(env: Mapping[str, str], variable: str, least: int, most: int) -> int | None:
    """Read a whole number in this range; None if the variable is not set."""
    return number(env, variable, least, least, most) if env.get(variable) else None


def pseudonym(env: Mapping[str, str], variable: str, default: str) -> str:
    """Read the name of this host in Via fields (RFC 9110 §7.6.3); empty if the variable is set to nothing."""
    text = env.get(variable, default)
    if text and not _PSEUDONYM.fullmatch(text):
        raise NodeConfigurationError(variable, f"{text!r} is not a host name or a word")
    return text


def log_level(env: Mapping[str, str]) -> LogLevel:
    """Read the log level."""
    text = (env.get("LOG_LEVEL") or "info").lower()
    if text not in get_args(LogLevel):
        raise NodeConfigurationError("LOG_LEVEL", f"{text!r} is none of {', '.join(get_args(LogLevel))}")
    return cast(LogLevel, text)
