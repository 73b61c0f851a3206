"""Read the state of the cluster."""

from master.db.database import Session
from master.domain.rotation.service import KEPT_DAYS as ROTATIONS_DAYS
from master.domain.system.schemas import Configuration, Master, PostgreSQL, RabbitMQ, Retention, Setting, System
from master.domain.tokens.service import is_open
from master.domain.usage.service import HOURS_KEPT
from shared.version import program_version


async def show(session: Session, configuration: Configuration, rabbitmq: RabbitMQ) -> System:
    """Return the system. Raises DatabaseError."""
    row = await session.row("system.select_cluster") or {}
    masters = await session.rows("system.select_masters")
    return System(
        version=program_version(),
        cluster=row["cluster"],
        masters=[Master.model_validate(each) for each in masters],
        settings=[Setting(name=name, value=value) for name, value in configuration.settings],
        authorization="open" if await is_open(session) else "tokens",
        postgresql=PostgreSQL(version=row["postgresql"].partition(" ")[0]),
        rabbitmq=rabbitmq,
        retention=Retention(
            events_days=configuration.events_days,
            history_days=configuration.history_days,
            usage_hours_days=HOURS_KEPT.days,
            rotations_days=ROTATIONS_DAYS,
        ),
        time=row["time"],
    )
