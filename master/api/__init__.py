"""The external HTTP API."""

from master.api.app import create_app

__all__ = ["create_app"]
