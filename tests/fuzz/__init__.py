"""Hostile input, generated."""
