"""Nodes: the hosts that run proxies.

`service` reads, changes and removes them. `enrolment` adds a waiting host as a new node, `replacement` as an existing
one; both use `enrolment.client`, which speaks to the host. `drain` starts and stops the move of proxies off a node,
`drain_runner` carries drains on in steps (`drain_steps`), and `relocation` moves proxies that nobody uses.
"""
