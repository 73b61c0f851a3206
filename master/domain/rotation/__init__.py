"""Rotation: a proxy's new endpoint starts before the old one ends.

`service` starts rotations, `runner` carries them on, `steps` has the transaction of each step, and `endpoints` chooses
node, port, login and exit of the new endpoint.
"""
