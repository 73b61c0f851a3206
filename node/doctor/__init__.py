"""`maybe-node doctor`: examines the host, the local copy, the exits and the broker."""
