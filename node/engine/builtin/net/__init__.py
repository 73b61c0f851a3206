"""Sockets and time: reactor, connections, pipes, acceptors, exits and timeouts."""
