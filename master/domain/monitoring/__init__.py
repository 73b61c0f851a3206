"""Monitoring: health endpoints, and metrics in the format of Prometheus.

`fleet` counts proxies, nodes and webhooks in the database, `report` shows the findings of the doctor.
"""
