"""Certificates of a private broker, made by the code of `maybe-master tls`, once per run."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from master.broker_tls.folder import SETTINGS, init, renew
from master.broker_tls.rabbitmq_settings import AUTHORITY, FILES
from tests.services.folders import Folder
from tests.services.ports import HOST

GUEST_GATE = "10.0.2.100"
"""The address at which the guests of tests.systemd find services of this machine."""
HOSTS = (HOST, "localhost", "::1", GUEST_GATE)


@dataclass(frozen=True)
class BrokerTls:
    """How programs of this machine reach a broker over TLS."""

    port: int
    management_url: str
    authority: Path

    @property
    def pem(self) -> str:
        return self.authority.read_text()


@dataclass(frozen=True)
class Certificates:
    """The folder of the authority."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / AUTHORITY

    @property
    def settings(self) -> Path:
        """RabbitMQ's settings."""
        return self.folder / SETTINGS

    def copy_to(self, folder: Path) -> None:
        """Copy what the broker needs, which is not the authority's key."""
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in FILES.values():
            shutil.copy(self.folder / name, folder / name)


def certificates(folder: Folder, *, found_at: PurePath) -> Certificates:
    """Make an authority and a certificate for every address of this machine, or renew those of a kept folder."""
    made = Certificates(folder.private("rabbitmq-tls"))
    if made.authority.exists():
        renew(made.folder, HOSTS, datetime.now(UTC))
    else:
        init(made.folder, HOSTS, datetime.now(UTC), found_at=found_at, keeps_plain=True)
    return made
