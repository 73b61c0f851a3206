"""Stacks: many proxies from one template, kept at a number."""
