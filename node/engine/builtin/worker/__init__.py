"""The worker process: control server, commands, bookkeeping and handover."""
