"""Pure parsers and replies: HTTP, SOCKS4 and SOCKS5."""
