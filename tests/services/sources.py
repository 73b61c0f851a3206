"""Sources of PostgreSQL and RabbitMQ for tests and for `./dev up`.

They come from addresses in the environment, else from Docker, else from programs of this machine as private instances:

    MAYBE_TEST_DATABASE_URL     postgresql://user:password@host:port/database of a user that may create databases
    MAYBE_TEST_AMQP_URL         amqp://user:password@host:port/vhost of an administrator
    MAYBE_TEST_MANAGEMENT_URL   http://host:port of the same broker
    MAYBE_TEST_SERVICES         "docker" or "local": use only this source
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.services import containers, postgres, rabbitmq
from tests.services.folders import Folder
from tests.services.ports import PortBlock
from tests.services.postgres import PostgreSQL
from tests.services.programs import ProgramError
from tests.services.rabbitmq import RabbitMQ

Source = Literal["docker", "local"]


@dataclass(frozen=True)
class Where:
    """Where services come from, keep their data and listen. `report` receives progress for a person."""

    source: Source
    folder: Folder
    ports: PortBlock
    report: Callable[[str], None]

    async def postgres(self) -> PostgreSQL:
        """Return PostgreSQL, not started yet. Raises ProgramError."""
        url = os.environ.get("MAYBE_TEST_DATABASE_URL")
        if url:
            return postgres.given(url)
        if self.source == "docker":
            return postgres.in_docker(self.folder, self.ports)
        return await postgres.on_this_machine(self.folder, self.ports)

    async def rabbitmq(self) -> RabbitMQ:
        """Return RabbitMQ, not started yet. Raises ProgramError."""
        amqp_url, management_url = (os.environ.get(f"MAYBE_TEST_{name}_URL") for name in ("AMQP", "MANAGEMENT"))
        if amqp_url and management_url:
            return rabbitmq.given(amqp_url, management_url)
        if self.source == "docker":
            return rabbitmq.in_docker(self.folder, self.ports)
        return await rabbitmq.on_this_machine(self.folder, self.ports, self.report)


def find_source(report: Callable[[str], None]) -> Source:
    """Choose Docker when it answers and has, or can pull, both images; else this machine's programs."""
    chosen = os.environ.get("MAYBE_TEST_SERVICES")
    if chosen in ("docker", "local"):
        return chosen
    if chosen:
        raise ProgramError('MAYBE_TEST_SERVICES must be "docker" or "local"')
    if not containers.docker_answers():
        return "local"
    missing = [image for image in (postgres.IMAGE, rabbitmq.IMAGE) if not containers.has_image(image, report)]
    if missing:
        report(f"Docker runs but cannot pull {', '.join(missing)}: using programs of this machine")
        return "local"
    return "docker"
