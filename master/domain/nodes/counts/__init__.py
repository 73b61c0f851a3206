"""Counts of nodes by their state, link, location and labels."""
