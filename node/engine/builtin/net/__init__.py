"""Sockets and time, independent of protocols.

`reactor` drives everything: it waits for events and passes them to a connection's `stage`; `loop` nests asyncio in it,
`fair_queue` shares its time among proxies, `timeouts` ends what takes too long. `connection` is a non-blocking socket
with its unsent data, `pipe_pool` provides the pipes for splice(2). `acceptors` are a proxy's listeners; `exits`,
`exit_counter` and `own_addresses` choose and check local addresses; `dns` resolves names; `echo_server` answers checks.
"""
