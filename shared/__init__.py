"""What master and node both know."""
