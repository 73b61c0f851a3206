"""The protocol with the nodes.

`outbox` sends lists of proxies, `inbox` handles messages and sends records, `reports` stores what nodes report by the
rules of `report_rules`. `broker_logins` keeps the broker's logins equal to the database, `rate_limits` shuts out nodes
that flood the master, and `housekeeping` finds silent nodes and deletes old rows.
"""
