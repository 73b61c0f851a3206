"""The master: HTTP API, rotation of proxies, and the management of nodes.

`app` builds the program. `domain` has a package for each noun, `sync` the protocol with the nodes, `api` what all
routes share, `db` and `broker` the doors to PostgreSQL and RabbitMQ, `placement` the pure choice of nodes, and `doctor`
the examination of an installation.
"""
