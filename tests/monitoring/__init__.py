"""Alerts and dashboard of Prometheus and Grafana, read and tried out."""
