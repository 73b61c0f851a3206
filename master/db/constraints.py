"""Violated constraints of the schema, as errors of the API."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from master.db.database import Database, Session
from master.errors import (
    ChallengeUsed,
    Conflict,
    NameTaken,
    PortTaken,
    RequestRefused,
    RotationUnderWay,
    RowConflict,
    RowReferenced,
    StillUsed,
    pointed,
)


def refusal(constraint: str) -> RequestRefused | None:  # noqa: PLR0911 (one for each constraint)
    """What a constraint of the schema says to the user; None when only a bug can break it."""
    match constraint:
        case "locations_name_key" | "nodes_name_key" | "proxies_name_key" | "stacks_name_key":
            return NameTaken(f"another one of the {constraint.partition('_')[0]} has this name")
        case "proxies_node_id_port_key":
            return PortTaken("another proxy of the node has this port")
        case "rotations_open_key":
            return RotationUnderWay("a rotation of the proxy is under way")
        case "endpoints_node_id_fkey":
            return StillUsed("a proxy is being rotated away from the node or to it")
        case "proxies_not_open":
            return pointed("a proxy without a user name needs allow_ips", "/allow_ips")
        case "nodes_challenge_hash_key":
            return ChallengeUsed("this challenge is just being used for another node")
        case "nodes_location_id_fkey":
            return Conflict("the location has just gone, or a node has just come to it")
        case _:
            return None


@asynccontextmanager
async def writing(database: Database) -> AsyncGenerator[Session]:
    """A transaction whose broken constraints are refusals. Raises Refused, DatabaseError."""
    try:
        async with database.transaction() as session:
            yield session
    except (RowConflict, RowReferenced) as error:
        known = refusal(error.constraint)
        if known is None:
            raise
        raise known from error
