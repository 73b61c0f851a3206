"""Turns violated constraints into errors of the API; refuses missing rows and texts that cannot be stored."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from master.db.database import Database, Row, Session
from master.errors import (
    ChallengeUsed,
    Conflict,
    NameTaken,
    NotFound,
    PortTaken,
    RequestRefused,
    RotationUnderWay,
    RowConflict,
    RowReferenced,
    StillUsed,
    UpgradeUnderWay,
    invalid_at,
)


def refusal(constraint: str) -> RequestRefused | None:  # noqa: PLR0911 (one for each constraint)
    """Return the error of the API for a violated constraint, or None when only a bug can violate it."""
    match constraint:
        case "locations_name_key" | "nodes_name_key" | "proxies_name_key" | "stacks_name_key" | "tokens_name_key":
            return NameTaken(f"another one of the {constraint.partition('_')[0]} has this name")
        case "proxies_node_id_port_key":
            return PortTaken("another proxy of the node has this port")
        case "rotations_open_key":
            return RotationUnderWay("a rotation of the proxy is under way")
        case "upgrades_open_key":
            return UpgradeUnderWay("another upgrade was just started")
        case "proxies_stack_id_fkey":
            return StillUsed("the stack has proxies that do not belong to the filter of the token")
        case "endpoints_node_id_fkey":
            return StillUsed("a proxy is being rotated away from the node or to it")
        case "proxies_not_open":
            return invalid_at("a proxy without a user name needs allow_ips", "/allow_ips")
        case "invitations_location_id_fkey":
            return StillUsed("an invitation gives this location to its nodes; remove the invitation first")
        case "nodes_challenge_hash_key":
            return ChallengeUsed("another node is being enrolled with this challenge")
        case "nodes_location_id_fkey":
            return Conflict("the location was just removed, or a node was just added to it")
        case _:
            return None


@asynccontextmanager
async def writing(database: Database) -> AsyncGenerator[Session]:
    """Open a transaction whose violated constraints are refusals. Raises RequestRefused, DatabaseError."""
    try:
        async with database.transaction() as session:
            yield session
    except (RowConflict, RowReferenced) as error:
        refused = refusal(error.constraint)
        if refused is None:
            raise
        raise refused from error


def existing(row: Row | None, noun: str, id_: int) -> Row:
    """Return the row. Raises NotFound, whose member `<noun>_id` is the id."""
    if row is None:
        raise NotFound(f"there is no {noun} {id_}", {f"{noun}_id": id_})
    return row


def storable(text: str) -> str:
    """Remove NUL, the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "")
