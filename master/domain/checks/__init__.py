"""Checks: connections through a proxy, made by the master as a client would make them.

`probe` makes the connection; `results` interprets the answers of the proxy and of the destination.
"""
