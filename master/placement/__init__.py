"""Pure decisions on placement, without I/O.

`candidates` chooses the node of one proxy and decides whether a node can provide its exit, `spread` chooses the nodes
of many new ones, `rebalance` which proxies move to which nodes.
"""
