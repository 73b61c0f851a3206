"""Name resolution that never blocks the reactor, shared fairly among proxies."""
