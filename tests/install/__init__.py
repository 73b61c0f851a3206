"""Bare roots to install nodes in, hand-made releases, and the service manager of a root that has none."""
