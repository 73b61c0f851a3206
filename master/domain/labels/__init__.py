"""Labels: which keys and values are in use, and how often."""
