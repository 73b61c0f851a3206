"""Addresses and routes of the host, as the kernel reports them, and whether exits work with them.

`exit_requirements` is pure: the address or prefix that an exit needs, and the texts about one that does not work.
`exit_trial` tries them, `routes` asks the kernel for routes, `address_changes` watches addresses come and go.
"""
