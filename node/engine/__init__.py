"""The engines that run proxies, behind one interface.

`interface` is what the agent knows of an engine; `installed` opens the engines that this host has. `builtin` runs
proxies in worker processes of its own, `three_proxy` runs one 3proxy process for each proxy.
"""
