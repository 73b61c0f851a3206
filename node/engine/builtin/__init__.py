"""The built-in engine: worker processes that speak HTTP, CONNECT, SOCKS4 and SOCKS5, with nothing to install.

`engine` is the engine itself. `pool` is the agent's side: it starts, commands and upgrades workers. `worker` is a
worker process, whose connections are `sessions` over `net`, decided by `policy`, parsed by `protocols`, counted by
`accounting`. `frames` is the format of messages between the two sides. A worker imports only the standard library, this
package and four modules of `shared`; `bootstrap` sees to that.
"""
