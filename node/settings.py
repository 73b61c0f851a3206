"""Reads the node's settings from the environment."""

import os
import re
import shutil
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, SecretStr

from node.data_directory import DATA_DIR, DataDirectory
from node.errors import NodeConfigurationError
from shared.destinations import DENY_PORTS, canonical_ports
from shared.engine.defaults import FAILED_LOGINS, HALF_CLOSED_S, VIA
from shared.enrolment.challenge import read_code
from shared.logs import LogLevel
from shared.settings.reading import (
    EnvironmentSettings,
    literal_address,
    one_of,
    read,
    secret_variables,
    variables,
    whole_number,
)

_HOST = re.compile(r"[0-9A-Za-z._:-]{1,253}")
_URL = re.compile(r"[!$&'()*+,./0-9:;=A-Z\[\]_a-z~%-]{1,500}")
_PSEUDONYM = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(:[0-9]{1,5})?")


def data_directory(text: str) -> Path:
    """Make the data directory if it does not exist."""
    data_dir = Path(text)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{data_dir} cannot be made: {error.strerror}") from error
    if not os.access(data_dir, os.W_OK | os.X_OK) and not is_kept_read_only(data_dir):
        raise ValueError(f"{data_dir} cannot be written")
    return data_dir.resolve()


def is_kept_read_only(data_dir: Path) -> bool:
    """Whether the file system is read-only but has a node's data, which the node still serves."""
    is_read_only = bool(os.statvfs(data_dir).f_flag & os.ST_RDONLY)
    return is_read_only and (data_dir / "copy.db").exists() and os.access(data_dir, os.R_OK | os.X_OK)


def readable_file(text: str) -> Path:
    """Read the path of a file, which may be written later."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{text} is not an absolute path")
    return path


def executable(text: str) -> Path:
    """Read the path of a program."""
    if not os.access(text, os.X_OK):
        raise ValueError(f"{text} is not an executable file")
    return Path(text)


def networks(text: str) -> tuple[str, ...]:
    """Read networks and addresses with commas or spaces between."""
    try:
        return tuple(str(ip_network(each, strict=False)) for each in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"{text!r} is not a list of networks") from error


def ports(text: str) -> tuple[int | str, ...]:
    """Read ports and ranges "from-to" with commas or spaces between; the word `none` means none."""
    parts = text.replace(",", " ").split()
    if not parts or parts == ["none"]:
        return () if parts else DENY_PORTS
    try:
        return canonical_ports(int(part) if part.isascii() and part.isdigit() else part for part in parts)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a list of ports: {error}") from error


def pseudonym(text: str) -> str:
    """Read the name of this host in Via fields (RFC 9110 §7.6.3)."""
    if text and not _PSEUDONYM.fullmatch(text):
        raise ValueError(f"{text!r} is not a host name or a word")
    return text


def invitation_code(text: str) -> SecretStr:
    """Read the code of an invitation, which errors never repeat."""
    read_code(text)
    return SecretStr(text)


def master_address(text: str) -> str:
    """Read the http or https URL of a master, which errors do not repeat, since it may hold a login by mistake."""
    try:
        parts = urlsplit(text)
        is_plain = (
            parts.scheme in ("http", "https")
            and bool(_HOST.fullmatch(parts.hostname or ""))
            and parts.port != 0
            and bool(_URL.fullmatch(text))
        )
    except ValueError:
        is_plain = False
    if not is_plain:
        raise ValueError("is not an address of the form http://host:port, without login, query and fragment")
    return text.rstrip("/")


class Settings(EnvironmentSettings):
    """The settings.

    `listen` is the address on which proxies listen; None means every address of the host. Proxies may connect to the
    networks of `allow_destinations`, although they are private to the node. `connections_per_source` and
    `unadmitted_connections` default to a share of the descriptors that a worker may have. `via` is the name of the
    proxies in Via fields; empty: they add none. A client that has closed its side may receive for `half_closed_s`
    more seconds. A node that has no identity enrols itself at `master_url` by `invitation`, and asks to be called at
    `announce_ip`. Clients that speak TLS are served with the certificate chain `tls_cert` and the private key
    `tls_key`; without them, with a certificate that the node makes itself.
    """

    may_be_empty = frozenset({"NODE_VIA"})

    data_dir: Annotated[Path, PlainValidator(data_directory)] = Field(
        DATA_DIR, validate_default=True, validation_alias="NODE_DATA_DIR"
    )
    listen: Annotated[str | None, PlainValidator(literal_address)] = Field(None, validation_alias="NODE_LISTEN")
    enrol_host: Annotated[str, PlainValidator(literal_address)] = Field("0.0.0.0", validation_alias="NODE_ENROL_HOST")
    enrol_port: Annotated[int, whole_number(1, 65535)] = Field(3006, validation_alias="NODE_ENROL_PORT")
    invitation: Annotated[SecretStr | None, PlainValidator(invitation_code)] = Field(
        None, validation_alias="NODE_INVITATION"
    )
    master_url: Annotated[str | None, PlainValidator(master_address)] = Field(None, validation_alias="NODE_MASTER_URL")
    announce_ip: Annotated[str | None, PlainValidator(literal_address)] = Field(
        None, validation_alias="NODE_ANNOUNCE_IP"
    )
    challenge_file: Path | None = Field(None, validation_alias="NODE_CHALLENGE_FILE")
    workers: Annotated[int, whole_number(1, 256)] = Field(
        default_factory=lambda: os.cpu_count() or 1, validation_alias="NODE_WORKERS"
    )
    allow_destinations: Annotated[tuple[str, ...], PlainValidator(networks)] = Field(
        (), validation_alias="NODE_ALLOW_DESTINATIONS"
    )
    deny_ports: Annotated[tuple[int | str, ...], PlainValidator(ports)] = Field(
        DENY_PORTS, validation_alias="NODE_DENY_PORTS"
    )
    connections_per_source: Annotated[int | None, whole_number(1, 10**6)] = Field(
        None, validation_alias="NODE_CONNECTIONS_PER_SOURCE"
    )
    unadmitted_connections: Annotated[int | None, whole_number(2, 10**6)] = Field(
        None, validation_alias="NODE_UNADMITTED_CONNECTIONS"
    )
    failed_logins: Annotated[int, whole_number(1, 1000)] = Field(FAILED_LOGINS, validation_alias="NODE_FAILED_LOGINS")
    half_closed_s: Annotated[int, whole_number(1, 3600)] = Field(HALF_CLOSED_S, validation_alias="NODE_HALF_CLOSED_S")
    via: Annotated[str, PlainValidator(pseudonym)] = Field(VIA, validation_alias="NODE_VIA")
    tls_cert: Annotated[Path | None, PlainValidator(readable_file)] = Field(None, validation_alias="NODE_TLS_CERT")
    tls_key: Annotated[Path | None, PlainValidator(readable_file)] = Field(None, validation_alias="NODE_TLS_KEY")
    three_proxy: Annotated[Path | None, PlainValidator(executable)] = Field(None, validation_alias="THREE_PROXY")
    log_level: Annotated[LogLevel, one_of(LogLevel)] = Field("info", validation_alias="LOG_LEVEL")

    @property
    def files(self) -> DataDirectory:
        """The files in the data directory."""
        return DataDirectory(self.data_dir)

    @property
    def identity_file(self) -> Path:
        """The file with the node's identity."""
        return self.files.identity_file

    @property
    def nonce_file(self) -> Path:
        """The file with the nonce under which a master began to enrol this node by its invitation."""
        return self.data_dir / "invitation.json"

    @property
    def builtin_dir(self) -> Path:
        """The folder of the built-in engine."""
        return self.files.builtin_dir

    @property
    def copy_file(self) -> Path:
        """The file of the local copy."""
        return self.files.copy_file

    @property
    def pid_file(self) -> Path:
        """The file with the agent's pid; locked while the agent runs."""
        return self.files.pid_file


VARIABLES = variables(Settings, required=False)
SECRETS = secret_variables(Settings)


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read all settings. Raises NodeConfigurationError with every invalid variable."""
    settings = read(Settings, env, NodeConfigurationError)
    if settings.invitation is not None and settings.master_url is None:
        raise NodeConfigurationError("NODE_MASTER_URL", "is not set; a node with NODE_INVITATION needs it")
    if settings.tls_cert is not None and settings.tls_key is None:
        raise NodeConfigurationError("NODE_TLS_KEY", "is not set, but NODE_TLS_CERT is")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise NodeConfigurationError("NODE_TLS_CERT", "is not set, but NODE_TLS_KEY is")
    if settings.three_proxy:
        return settings
    found = shutil.which("3proxy", path=env.get("PATH"))
    return settings.model_copy(update={"three_proxy": Path(found) if found else None})
