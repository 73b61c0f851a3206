"""Releases of the node: their manifest, its signatures, the keys that are trusted, and the order of versions. Pure."""
