"""Lookup: which proxy, and so which customer, used an address at a given time."""
