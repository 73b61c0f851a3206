"""Monitoring: health endpoints, and metrics in the format of Prometheus.

`fleet` counts proxies, nodes and webhooks in the database.
"""
