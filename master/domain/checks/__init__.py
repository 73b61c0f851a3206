"""Checks: connections through a proxy, made by the master as a client would."""
