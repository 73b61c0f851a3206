"""Compose projects for tests that run the images."""
