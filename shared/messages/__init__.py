"""The three messages of the protocol: bodies, reading and writing."""
