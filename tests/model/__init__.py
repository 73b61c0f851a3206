"""A model of the protocol: the real decisions of node and master over a network and a database that misbehave."""
