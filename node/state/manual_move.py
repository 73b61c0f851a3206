"""The file in which `maybe-node config` leaves addresses of the broker for the agent, whether one runs or not.

The agent alone writes the node's identity, so the command never meets it there.
"""

from pathlib import Path

from pydantic import ValidationError

from node.state.identity import write_secret
from node.state.status_file import read_bounded
from shared.messages.broker_config import BrokerTarget
from shared.messages.fields import Rev
from shared.validation_errors import first_error


class ManualMove(BrokerTarget):
    """Addresses to use. Without `rev` they have that of the addresses in use, so that every later move counts."""

    rev: Rev | None = None


class BadManualMove(Exception):
    """The file cannot be used; the text has the reason."""


def write_manual_move(path: Path, move: ManualMove) -> None:
    """Leave a move for the agent, in place of an earlier one. Raises OSError."""
    write_secret(path, move.model_dump_json().encode())


def read_manual_move(path: Path) -> ManualMove | None:
    """Read the move; None if there is none. Raises BadManualMove."""
    try:
        return ManualMove.model_validate_json(read_bounded(path)[0])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadManualMove(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise BadManualMove(f"{path} cannot be used: {first_error(error)}") from error
