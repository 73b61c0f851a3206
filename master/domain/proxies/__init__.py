"""Proxies: the desired state of each proxy, and every way to change it.

`service` reads, changes and removes proxies; `creation` creates one, `removal` removes some. `changes` holds what a
change is and checks it, `settings` and `options` the settings that a request may give, `expiry`, `ports` and
`rotatable` the rules for single ones. `export` writes lists of proxies as text. `stack_counts` tells stacks that
proxies were removed one by one. `placement.sql` has the statements that lock nodes and read their capacity.
"""
