"""Rotation: a proxy's new endpoint starts before the old one ends."""
