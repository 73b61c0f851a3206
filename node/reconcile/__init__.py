"""Reconciliation: makes the running proxies match the local copy.

`plan` decides what to stop and start (pure), `reconciler` does it on the engines, `retries` schedules failed starts,
`impediments` knows why a running proxy serves nobody, and `progress` up to which revision everything is done.
"""
