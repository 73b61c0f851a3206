"""What abuse of one proxy costs the customers of another one in the same worker."""
