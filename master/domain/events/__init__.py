"""Events: the durable log of what happened, and its live stream.

`log` writes and reads the log, `stream` follows it for all readers at once.
"""
