"""Events: the log of what happened, its schemas and its live stream."""
