"""Checks of the API against its own OpenAPI document."""
