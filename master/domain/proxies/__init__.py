"""Proxies: the desired state of each proxy, and every way to change it.

`service` reads, changes and removes single proxies, `fleets` all that a filter matches; `creation` creates one and
`removal` removes some. `changes` holds what a change is and checks it, `bulk_changes` writes one of many proxies.
`settings` and `options` have the settings that a request may give, `ports` and `rotatable` the rules for single ones,
`proxy_parts` the parts of a proxy in an answer. `export` writes lists of proxies as text, `claims` gives free ones to
somebody. `placement.sql` has the statements that lock nodes and read their capacity.
"""
