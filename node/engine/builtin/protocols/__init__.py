"""Pure parsers and writers of the proxy protocols: bytes in, values out, no I/O.

HTTP: `http_request`, `http_response`, `http_body` and `http_fields` parse, `http_route` finds the destination,
`http_replies` writes the proxy's own responses, `http_auth` decodes credentials. SOCKS: `socks4`, `socks5`.
`destinations` and `failures` are shared by all.
"""
