"""A running cluster of real programs for acceptance tests, and its faults."""
