"""Upgrades: the agents of many nodes change to another version, a few at a time.

`service` starts, shows and changes upgrades, `runner` carries them on. `following` derives the state of a node from its
reports and the clock, `steps` decides which nodes are asked next and when an upgrade stops. `releases` reads the
bundles that this master can offer.
"""
