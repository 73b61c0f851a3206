"""Messages between master and nodes: check-sync, need-sync, sync, report, upgrade, config and config-ok.

`bodies` and `broker_config` have their models, `fields` the types that these share. `reading` and `writing` convert
them from and to bytes, `assembly` joins the parts of a check-sync, and `routes` names exchanges, queues and routing
keys. Pure.
"""
