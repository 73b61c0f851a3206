"""The line that installs a node."""
