"""Serves install.sh and the bundles, on a port of its own and beside the API: read-only, without a database."""
