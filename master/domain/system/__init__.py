"""System: the masters of the cluster, their settings, and the versions of what they run on.

`presence` is the loop by which each master keeps its row.
"""
