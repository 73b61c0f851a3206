"""The protocol with the nodes: messages in and out, reports, logins and rate limits."""
