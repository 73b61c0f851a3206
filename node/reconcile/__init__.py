"""Brings the running proxies to what the local copy says."""
