"""The broker of the cluster, and moving it: to another place, another certificate authority, or to TLS."""
