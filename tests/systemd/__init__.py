"""Helpers for tests under a real systemd: a Debian that QEMU runs without KVM; nothing is installed on this machine."""
