"""Links: secret addresses that give away a list of proxies, or rotate them."""
