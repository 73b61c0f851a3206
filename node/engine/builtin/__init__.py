"""The built-in engine: worker processes that speak HTTP, CONNECT and SOCKS."""
