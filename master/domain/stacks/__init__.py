"""Stacks: many proxies from one template, kept at a number.

`service` reads, creates, changes and removes stacks. `plan` works out which proxies to delete, update and create, and
applies that; `bulk_creation` creates them, and `template` is what they are created from.
"""
