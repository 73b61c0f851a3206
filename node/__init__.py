"""The agent on an end server: runs proxies, from its local copy when it is alone."""
