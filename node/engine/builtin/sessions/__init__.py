"""One client connection from its first byte to its end.

`proxy` accepts a `client`, whose connection passes through stages: `protocol_detection`, then `http_session` (with one
`http_exchange` for each request) or `socks_session`. `connector` reaches the destination; `tunnel` and `udp_associate`
relay data, held to the proxy's bandwidth and quota by `throttle` (interface: `rate_limit`). `lingering_close` ends it.
"""
