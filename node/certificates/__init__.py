"""The certificate with which the node serves clients that speak TLS to a proxy.

`reading` reads one of the operator's, `making` makes the node's own, and `keeper` keeps it valid and gives it to the
engine. Only a node that needs a certificate loads the cryptography for it.
"""
