"""Proxies: settings, ports, creation, changes, removal and export."""
