"""The agent as a service of its host: its status for the commands beside it, and its notices to systemd."""
