"""Usage: traffic and connections, summed by hour, day or month."""
