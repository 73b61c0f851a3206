"""Reads the files of an upgrade. Light to import: the agent does it, too."""

from pathlib import Path

from node.upgrade.records import RECORD_LIMIT, REQUEST_LIMIT, BadRecord, RecordT, parsed
from node.upgrade.untrusted import read_below
from shared.messages.bodies import UpgradeRequest

FOLDER = "upgrade"
REQUEST = "request.json"


def read_request(data_dir: Path) -> UpgradeRequest | None:
    """Read the request below a data folder. Raises BadRecord, OSError."""
    raw = read_below(data_dir, FOLDER, REQUEST, limit=REQUEST_LIMIT)
    return None if raw is None else parsed(UpgradeRequest, raw)


def read_own(model: type[RecordT], path: Path) -> RecordT | None:
    """Read a file that only the owner of the installation can write. Raises BadRecord, OSError."""
    raw = read_below(path.parent, path.name, limit=RECORD_LIMIT)
    try:
        return None if raw is None else parsed(model, raw)
    except BadRecord as error:
        raise BadRecord(f"{path}: {error}; remove it") from error
