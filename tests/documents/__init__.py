"""Runs the commands that documents print."""
