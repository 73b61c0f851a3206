"""Links: secret addresses that return a list of proxies, or rotate them, without a token."""
