"""Enrolment: how a node joins a cluster.

`membership` keeps the identity and runs the session; `server` waits for the master while the node has no identity.
"""
