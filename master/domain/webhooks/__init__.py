"""Webhooks: events delivered by HTTP POST, signed and in order."""
