"""Checks and reads requests: path, headers, query string and body."""
