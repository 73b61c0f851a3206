"""`maybe-master tls`: a certificate authority for one broker, and the broker's certificate."""
