"""Reads documents and runs the commands that they print."""
