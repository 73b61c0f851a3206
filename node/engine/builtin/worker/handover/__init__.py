"""Moves live connections from one worker process to the next."""
