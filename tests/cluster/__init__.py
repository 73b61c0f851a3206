"""A running cluster of real programs for acceptance tests.

`cluster` starts and steers masters, nodes and services, `faults` breaks them, `networks` gives a node a network or disk
of its own, `load` makes random changes, and `launched` runs `./dev up` as a person does.
"""
