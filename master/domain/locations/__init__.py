"""Locations: groups of nodes, and rebalancing the proxies among the nodes of one."""
