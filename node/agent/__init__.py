"""The node's side of the protocol with the master.

`session` builds the parts for one identity. `message_handler` takes check-syncs and syncs, `record_requests` sends
need-syncs, `reports` and `usage_reports` send reports, and `publisher` puts the headers on all of them.
"""
