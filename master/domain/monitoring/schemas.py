"""Health, as the API shows it."""

from typing import Literal

from master.schemas.base import Resource


class Live(Resource):
    """The program runs."""

    status: Literal["ok"] = "ok"


class Ready(Resource):
    """Degraded: the broker is away; what is asked is done when it is back."""

    status: Literal["ok", "degraded"]
    database: Literal["up"] = "up"
    broker: str
