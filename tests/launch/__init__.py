"""`./dev up` and its relatives: a whole cluster on this machine."""
