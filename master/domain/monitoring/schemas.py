"""The resources of health."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Resource
from shared.doctor.findings import Level


class Live(Resource):
    """The program runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"] = "ok"


class Ready(Resource):
    """The readiness of this master."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "database": "up", "broker": "up"}]})

    status: Literal["ok", "degraded"] = Field(
        description="`degraded`: the broker is down. Requests are served, and reach the nodes when it is back."
    )
    database: Literal["up"] = "up"
    broker: str = Field(
        description="`up`, or the state of the link to the broker: `connecting`, `down`, `refused` (the login), "
        "`untrusted` (the certificate) or `occupied` (the queue)."
    )


class HealthFinding(Resource):
    """The result of one check of the doctor. It never holds a secret."""

    check: str = Field(description="The part that was checked.")
    level: Level = Field(
        description="`problem`: it does not work. `warning`: it works in part, or not for long. `ok`: nothing is wrong."
    )
    text: str = Field(description="What was found, for people.")
    advice: str | None = Field(description="What to do about it. null: nothing.")


class HealthReport(Resource):
    """The findings of the doctor."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "made_at": "2026-05-01T10:00:00Z",
                    "level": "problem",
                    "items": [
                        {
                            "check": "nodes",
                            "level": "problem",
                            "text": "silent and not connected to the broker: node 7 (brave-otter) for 300 s",
                            "advice": "on such a host, check that it is up and that the agent runs, and run "
                            "`maybe-node doctor`",
                        },
                        {"check": "PostgreSQL version", "level": "ok", "text": "15.4", "advice": None},
                    ],
                }
            ]
        }
    )

    made_at: datetime = Field(description="The time of the examination, by the clock of the master.")
    level: Level = Field(description="The worst level of all findings.")
    items: list[HealthFinding] = Field(description="The findings, the worst first.")
