"""Proxies: the desired state of each proxy, and every way to change it.

`service` reads, changes and removes proxies; `creation` creates one, `removal` removes some and records events of their
stacks. `changes` holds what a change is and checks it, `settings` and `options` the settings that a request may give,
`ports` and `rotatable` the rules for single ones, `proxy_parts` the parts of a proxy in an answer. `export` writes
lists of proxies as text, `claims` gives free ones to somebody. `placement.sql` has the statements that lock nodes and
read their capacity.
"""
