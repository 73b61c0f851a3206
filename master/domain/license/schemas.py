"""The body and the resource of the licence."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from master.domain.license.keys import LONGEST
from master.domain.license.state import LicenseState
from master.schemas.base import RequestBody, Resource

LicenseSource = Literal["environment", "api"]


class NewLicense(RequestBody):
    """A licence key to install."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiI3In0.c2ln"}]})

    key: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST, pattern=r"^[A-Za-z0-9_.\s-]+$")] = Field(
        description="The licence key, as it was delivered: three parts with dots between."
    )


class LicenseUse(Resource):
    """How many there are, and how many the licence allows."""

    counted: int
    allowed: int | None = Field(description="null: any number.")


class UnusableKey(Resource):
    """A licence key in the settings of the master that answers, which it cannot use."""

    setting: str = Field(description="The environment variable: LICENSE_KEY or LICENSE_KEY_FILE.")
    reason: str


class License(Resource):
    """The licence that counts: of all that this cluster was given, the one that was issued last."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "state": "valid",
                    "id": "L-2026-0042",
                    "customer": "Example Ltd",
                    "signed_by": "2026-a",
                    "source": "api",
                    "received_at": "2026-05-01T09:30:00Z",
                    "issued_at": "2026-05-01T09:00:00Z",
                    "valid_from": "2026-05-01T00:00:00Z",
                    "valid_to": "2027-05-01T00:00:00Z",
                    "grace_until": "2027-05-15T00:00:00Z",
                    "nodes": {"counted": 12, "allowed": 50},
                    "proxies": {"counted": 2400, "allowed": None},
                    "problem": None,
                }
            ]
        }
    )

    state: LicenseState = Field(
        description="`community`: there is no licence, and everything works without limits. `not_yet_valid`: it begins "
        "later, and limits nothing until then. `valid`. `grace`: it has ended, and everything still works until "
        "`grace_until`. `expired`: new nodes and proxies are refused. Whatever exists keeps running in every state."
    )
    id: str | None = Field(description="The id of the licence. null without a licence, as the next members are.")
    customer: str | None
    signed_by: str | None = Field(description="The id of the key that signed it.")
    source: LicenseSource | None = Field(
        description="`environment`: LICENSE_KEY or LICENSE_KEY_FILE of a master; `api`: PUT /license."
    )
    received_at: datetime | None
    issued_at: datetime | None
    valid_from: datetime | None
    valid_to: datetime | None
    grace_until: datetime | None
    nodes: LicenseUse
    proxies: LicenseUse
    problem: UnusableKey | None = Field(description="null: the settings hold no unusable key.")
