"""How a node becomes a member of a cluster."""
