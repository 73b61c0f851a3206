"""Locations: groups of nodes.

`service` reads, creates, changes and removes them; `rebalancing` evens out the proxies among the nodes of one.
"""
