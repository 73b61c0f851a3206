"""The worker process, which runs proxies and outlives the agent.

A `zygote` forks it, `main` runs it. `control_server` receives the agent's messages and `commands` executes them on the
worker's `proxies`. `bookkeeping` writes the ledger and applies limits, `guard_updates` follows the host's addresses,
and `handover` moves everything to the next process.
"""
