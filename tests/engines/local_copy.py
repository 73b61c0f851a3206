"""A node's local copy, for tests of programs that read it beside the agent."""

import sqlite3

from node.settings import Settings
from node.state.store import Store
from shared.proxies import ProxyRecord


def hold(settings: Settings, proxy: ProxyRecord) -> None:
    """Put a record into the local copy."""
    Store(settings.copy_file).close()
    with sqlite3.connect(settings.copy_file) as db:
        row = (proxy.id, 1, 1, 1, proxy.model_dump_json(), "", None)
        db.execute("INSERT INTO proxies VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO wanted VALUES (?, 1)", (proxy.id,))
    db.close()
