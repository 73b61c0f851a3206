"""The external HTTP API."""
