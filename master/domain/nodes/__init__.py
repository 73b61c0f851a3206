"""Nodes: the hosts that run proxies. Enrolment, changes, drain and replacement."""
