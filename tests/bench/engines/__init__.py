"""The built-in engine beside other proxies on the same work, in one run."""
