"""Reads the master's settings from the environment."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, PlainValidator, PrivateAttr, SecretStr

from master.errors import BadConfiguration
from master.management import ManagementApi, management_of
from master.schemas.hosts import url_host
from master.setting_values import (
    AuthorityFile,
    absolute_path,
    authority_file,
    bare_address,
    broker_urls,
    broker_urls_for_nodes,
    host_names,
    management_addresses,
    plain_web_url,
    port_ranges,
    script_url,
    token_text,
    web_url,
)
from shared.bus.addresses import BrokerAddresses
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
from shared.settings.secret_files import file_text, file_variable

QueueType = Literal["classic", "quorum"]
Flag = Literal["yes", "no"]
MOST_DAYS = 3_650
PortNumber = Annotated[int, whole_number(1, 65535, "a port number")]
Days = Annotated[int, whole_number(1, MOST_DAYS, f"a number of days from 1 to {MOST_DAYS}")]


class DistributionSettings(EnvironmentSettings):
    """Where the bundles for nodes are, and how nodes get them."""

    bundle_dir: Annotated[Path, PlainValidator(absolute_path)] = Field(
        Path(sys.prefix) / "share/maybe-proxy/bundles", validation_alias="BUNDLE_DIR"
    )
    release_keys_file: Annotated[Path | None, PlainValidator(absolute_path)] = Field(
        None, validation_alias="RELEASE_KEYS_FILE"
    )
    download_url: Annotated[str | None, PlainValidator(script_url)] = Field(None, validation_alias="DOWNLOAD_URL")


class Settings(DistributionSettings):
    """The settings. `amqp_urls` have the master's own login, an administrator's."""

    never_empty: ClassVar[frozenset[str]] = frozenset({"API_TOKEN"})

    amqp_urls: Annotated[tuple[SecretStr, ...], PlainValidator(broker_urls)] = Field(validation_alias="AMQP_URL")
    management_urls: Annotated[tuple[str, ...], PlainValidator(management_addresses)] = Field(
        validation_alias="RABBITMQ_MANAGEMENT_URL"
    )
    amqp_ca: Annotated[AuthorityFile | None, PlainValidator(authority_file)] = Field(
        None, validation_alias="AMQP_CA_FILE"
    )
    database_host: str = Field(validation_alias="DATABASE_HOST")
    database_username: str = Field(validation_alias="DATABASE_USERNAME")
    database_password: SecretStr = Field(validation_alias="DATABASE_PASSWORD")
    database_name: str = Field(validation_alias="DATABASE_NAME")
    database_port: PortNumber = Field(5432, validation_alias="DATABASE_PORT")
    given_node_amqp_urls: Annotated[tuple[str, ...] | None, PlainValidator(broker_urls_for_nodes)] = Field(
        None, validation_alias="NODE_AMQP_URL"
    )
    queue_type: Annotated[QueueType, one_of(QueueType)] = Field("classic", validation_alias="QUEUE_TYPE")
    api_token: Annotated[SecretStr | None, PlainValidator(token_text)] = Field(None, validation_alias="API_TOKEN")
    license_key: SecretStr | None = Field(None, validation_alias="LICENSE_KEY")
    api_host: Annotated[str, PlainValidator(literal_address)] = Field("0.0.0.0", validation_alias="API_HOST")
    api_port: PortNumber = Field(3005, validation_alias="API_PORT")
    api_tls_cert: Path | None = Field(None, validation_alias="API_TLS_CERT")
    api_tls_key: Path | None = Field(None, validation_alias="API_TLS_KEY")
    api_hosts: Annotated[frozenset[str], PlainValidator(host_names)] = Field(frozenset(), validation_alias="API_HOSTS")
    download_host: Annotated[str, PlainValidator(literal_address)] = Field("0.0.0.0", validation_alias="DOWNLOAD_HOST")
    download_port: PortNumber | None = Field(None, validation_alias="DOWNLOAD_PORT")
    links_host: Annotated[str, PlainValidator(literal_address)] = Field("0.0.0.0", validation_alias="LINKS_HOST")
    links_port: PortNumber | None = Field(None, validation_alias="LINKS_PORT")
    public_url: Annotated[str | None, PlainValidator(plain_web_url)] = Field(None, validation_alias="PUBLIC_URL")
    enrol_ports: Annotated[tuple[range, ...], PlainValidator(port_ranges)] = Field(
        (range(3006, 3007),), validation_alias="ENROL_PORTS"
    )
    check_target: Annotated[str | None, PlainValidator(web_url)] = Field(None, validation_alias="CHECK_TARGET")
    events_keep_days: Days = Field(30, validation_alias="EVENTS_KEEP_DAYS")
    history_keep_days: Days = Field(180, validation_alias="HISTORY_KEEP_DAYS")
    webhook_allow_private: Annotated[bool, one_of(Flag), AfterValidator("yes".__eq__)] = Field(
        False, validation_alias="WEBHOOK_ALLOW_PRIVATE"
    )
    log_level: Annotated[LogLevel, one_of(LogLevel)] = Field("info", validation_alias="LOG_LEVEL")
    _license_key_file: Path | None = PrivateAttr(None)

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        EnvironmentSettings.__init__(self, environment=environment)
        path = environment.get(file_variable("LICENSE_KEY"))
        self._license_key_file = Path(path) if path else None

    def configured_license(self) -> tuple[str, str] | None:
        """Return the variable and the text of the licence key, None without one or with an empty file.

        The file is read each time.

        Raises OSError, ValueError.
        """
        if self._license_key_file is not None:
            text = file_text(self._license_key_file)
            return (file_variable("LICENSE_KEY"), text) if text else None
        return None if self.license_key is None else ("LICENSE_KEY", self.license_key.get_secret_value())

    @property
    def database(self) -> Mapping[str, Any]:
        """The arguments of a connection with the database."""
        return {
            "host": self.database_host,
            "port": self.database_port,
            "user": self.database_username,
            "password": self.database_password.get_secret_value(),
            "database": self.database_name,
        }

    @property
    def broker(self) -> BrokerAddresses:
        """The addresses of the broker, with the master's own login."""
        return self._trusted(self.amqp_urls)

    @property
    def node_broker(self) -> BrokerAddresses:
        """The addresses of the broker that nodes receive, without a login."""
        return self._trusted(tuple(map(SecretStr, self.given_node_amqp_urls or self.broker.bare_urls)))

    @property
    def management(self) -> ManagementApi:
        """The management API of the broker."""
        return management_of(self.management_urls, self.broker, None if self.amqp_ca is None else self.amqp_ca.pem)

    def _trusted(self, urls: tuple[SecretStr, ...]) -> BrokerAddresses:
        is_checked = self.amqp_ca is not None and urls[0].get_secret_value().startswith("amqps:")
        return BrokerAddresses(urls, self.amqp_ca.pem if self.amqp_ca is not None and is_checked else None)

    @property
    def own_hosts(self) -> frozenset[str]:
        """The host names of the API: those of API_HOSTS, and that of PUBLIC_URL."""
        return self.api_hosts | ({url_host(self.public_url)} if self.public_url else set[str]())


HIDDEN = frozenset({"API_TOKEN", "DATABASE_PASSWORD", "LICENSE_KEY"})
SECRETS = secret_variables(Settings)
REQUIRED = variables(Settings, required=True)
OPTIONAL = variables(Settings, required=False)


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read all settings. Raises BadConfiguration with every variable that is missing or invalid."""
    return read(Settings, env, BadConfiguration)


def shown(settings: Settings) -> list[tuple[str, str | None]]:
    """Return each variable with its value as text, None if it is not set. Secrets are left out."""
    values = {str(field.validation_alias): getattr(settings, name) for name, field in Settings.model_fields.items()}
    values["AMQP_URL"] = settings.broker.bare_urls
    return [(name, shown_value(value)) for name, value in values.items() if name not in HIDDEN]


def shown_value(value: object) -> str | None:
    """Write a value as its variable would have it; of an address only scheme, host, port and path."""
    match value:
        case bool():
            return "yes" if value else "no"
        case frozenset():
            return ",".join(sorted(cast("frozenset[str]", value))) or None
        case tuple():
            return ",".join(map(shown_part, cast("tuple[range | str, ...]", value)))
        case None:
            return None
        case _:
            return bare_address(str(value)) if "://" in str(value) else str(value)


def shown_part(part: range | str) -> str:
    """Write a range of ports, or an address without its login."""
    if isinstance(part, str):
        return bare_address(part)
    return f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0])
