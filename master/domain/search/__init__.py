"""Search: finds resources of every kind by name, address or id.

`terms` reads what was typed; the statements look for each kind apart.
"""
