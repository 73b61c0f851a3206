"""The agent's side of the engine: it starts, commands and upgrades worker processes.

`pool` is the set of workers, each behind a `worker_handle`, which commands it through a `control_client` and puts
records in `batches`. `spawner` starts processes and `processes` finds and ends them; `restoring` puts proxies back
after a worker has died, `upgrade` runs handovers. `running` and `counters` collect reports, `listeners` opens ports.
"""
