"""Lookup: which proxy and customer used an address at a given time."""
