"""Prints the schemas of the API's document, or their hash: `python -m tests.openapi.document [--hash]`.

`./dev web` makes the types of the web page from them.
"""

import json
import sys
from hashlib import sha256

from tests.openapi.conformance import described


def text() -> str:
    """A document of the schemas alone, without those of problems, which the page reads as they come."""
    document = described()
    schemas = {name: one for name, one in document["components"]["schemas"].items() if not name.endswith("Problem")}
    info = {"title": "maybe-proxy", "version": ""}
    described_alone = {"openapi": document["openapi"], "info": info, "paths": {}, "components": {"schemas": schemas}}
    return json.dumps(described_alone, sort_keys=True)


def digest() -> str:
    """What master/web/static/openapi.d.ts names in its first line."""
    return sha256(text().encode()).hexdigest()


if __name__ == "__main__":
    print(digest() if "--hash" in sys.argv else text())
