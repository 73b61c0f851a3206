"""Counts of proxies by their state, node, labels and so on."""
