"""Export: proxies as files, in the formats that other programs read."""
