"""Clients and origins that tests connect through proxies."""
