"""Claims: proxies that nobody has yet get the labels of somebody, once each however many ask at the same time."""
