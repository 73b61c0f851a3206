"""Rows of the local copy: stored proxies as SQLite keeps them.

A record is written without defaults, as the master sends it. Records that are read share what is equal in thousands of
them, which is most of their memory: exits, limits and destinations that are the defaults, and the set of given members.
"""

import structlog
from pydantic import ValidationError

from node.state.local_copy import StoredProxy
from shared.proxies import ProxyRecord, pair_hash

log = structlog.get_logger()

CopyRow = tuple[int, int, int, int, str | None, str, str | None]
"""Id, version, content, revision of the record, record, refusal, last good record."""


def row_of(stored: StoredProxy) -> CopyRow:
    """Convert a stored proxy to its row."""
    record = record_json(stored.record)
    good = record if stored.good is stored.record else good_json(stored)
    return (stored.id, stored.version, stored.content, stored.rec_rev, record, stored.refusal, good)


def good_json(stored: StoredProxy) -> str | None:
    """Serialise the last record that really ran."""
    return record_json(stored.good)


def record_json(record: ProxyRecord | None) -> str | None:
    """Serialise a record without defaults."""
    return record.model_dump_json(exclude_defaults=True) if record is not None else None


class RowReader:
    """Reads the rows of one copy."""

    def __init__(self) -> None:
        self._given: dict[frozenset[str], set[str]] = {}

    def stored_proxy(self, row: CopyRow) -> StoredProxy | None:
        """Convert a row to its stored proxy; None when another version of the program wrote an unreadable record."""
        id_, version, content, rec_rev, record, refusal, good = row
        try:
            newest = self._record(record)
            return StoredProxy(
                id=id_,
                version=version,
                content=content,
                rec_rev=rec_rev,
                record=newest,
                refusal=refusal,
                # A record that has run is one object, so it is not written as good once more.
                good=newest if good == record else self._record(good),
                pair_hash=pair_hash(id_, version),
            )
        except ValidationError:
            log.warning("store.record_unreadable", proxy_id=id_, version=version)
            return None

    def _record(self, text: str | None) -> ProxyRecord | None:
        """Read a record. Raises ValidationError."""
        if not text:
            return None
        record = ProxyRecord.model_validate_json(text)
        given = self._given.setdefault(frozenset(record.model_fields_set), record.model_fields_set)
        return ProxyRecord.model_construct(_fields_set=given, **record.__dict__)
