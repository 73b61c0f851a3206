"""The resources of health."""

from typing import Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Resource


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
    broker: str = Field(description="`up`, or the state of the link to the broker.")
