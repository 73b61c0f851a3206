"""Monitoring: health endpoints and Prometheus metrics."""
