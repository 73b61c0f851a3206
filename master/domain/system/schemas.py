"""The resources of the system."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Resource

Authorization = Literal["open", "tokens"]


class Master(Resource):
    """A master that runs, or that ended without notice within the last day."""

    id: str = Field(description="The end of `application_name` of its connections in PostgreSQL. New with each start.")
    host: str = Field(description="The name of its host.")
    version: str
    started_at: datetime
    last_seen_at: datetime = Field(description="Refreshed every 10 s while it runs and reaches the database.")


class Setting(Resource):
    """A setting of the master that answers."""

    name: str = Field(description="The environment variable.")
    value: str | None = Field(description="The value, without a login or query of an address. null: it is not set.")


class PostgreSQL(Resource):
    """The database server."""

    version: str


class RabbitMQ(Resource):
    """The broker, as this master sees it."""

    version: str | None = Field(description="null: this master was not connected to it yet.")
    state: str = Field(
        description="`up`, or the state of the link to the broker: `connecting`, `down`, `refused` (the login), "
        "`untrusted` (the certificate) or `occupied` (the queue)."
    )


class Retention(Resource):
    """For how long history is kept."""

    events_days: int = Field(description="Events (EVENTS_KEEP_DAYS).")
    history_days: int = Field(description="Who had which endpoint and exit address (HISTORY_KEEP_DAYS).")
    usage_hours_days: int = Field(description="Usage by the hour; afterwards it is kept by the day.")
    rotations_days: int = Field(description="Rotations that have ended.")


class System(Resource):
    """The cluster and what it runs on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": "1.0.0",
                    "cluster": "6f0f3b1c-4a0e-4d0c-9f0e-2d3f6a1b7c55",
                    "masters": [
                        {
                            "id": "a1b2c3d4",
                            "host": "master-1",
                            "version": "1.0.0",
                            "started_at": "2026-05-01T09:00:00Z",
                            "last_seen_at": "2026-05-01T10:00:00Z",
                        }
                    ],
                    "settings": [{"name": "API_PORT", "value": "3005"}, {"name": "PUBLIC_URL", "value": None}],
                    "authorization": "tokens",
                    "postgresql": {"version": "15.4"},
                    "rabbitmq": {"version": "3.13.2", "state": "up"},
                    "retention": {
                        "events_days": 30,
                        "history_days": 180,
                        "usage_hours_days": 90,
                        "rotations_days": 30,
                    },
                    "time": "2026-05-01T10:00:04Z",
                }
            ]
        }
    )

    version: str = Field(description="The version of the master that answers.")
    cluster: str = Field(description="The id of the cluster, which its database keeps.")
    masters: list[Master] = Field(description="The masters of the cluster, in the order of their start.")
    settings: list[Setting] = Field(description="The settings of the master that answers, but for secrets.")
    authorization: Authorization = Field(
        description="`open`: whoever reaches the API can do everything, because there is no token with the scope "
        "`admin`. `tokens`: every request needs a token."
    )
    postgresql: PostgreSQL
    rabbitmq: RabbitMQ
    retention: Retention
    time: datetime = Field(description="The present time of the database.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The settings that the system shows: names with values, and how many days history is kept."""

    settings: Sequence[tuple[str, str | None]] = ()
    events_days: int = 30
    history_days: int = 180
