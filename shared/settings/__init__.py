"""Settings: read from environment variables, with every fault reported at once."""
