"""The agent's side of the engine: starts, steers and upgrades worker processes."""
