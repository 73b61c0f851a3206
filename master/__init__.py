"""The controlling part: HTTP API, rotation and the management of nodes."""
