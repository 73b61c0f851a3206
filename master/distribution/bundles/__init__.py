"""Makes bundles of the node's code, with everything that it needs but a Python, or with that as well."""
