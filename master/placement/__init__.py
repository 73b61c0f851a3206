"""Pure decisions on placement, without I/O.

`candidates` chooses the node of one proxy, `spread` the nodes of many new ones, `rebalance` which proxies move to which
nodes; `exits` decides whether a node can provide an exit.
"""
