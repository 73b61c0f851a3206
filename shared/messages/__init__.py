"""Messages between master and nodes: check-sync, need-sync, sync, report and upgrade.

`bodies` has their models, `reading` and `writing` convert them from and to bytes, `assembly` joins the parts of a
check-sync, and `routes` names exchanges, queues and routing keys. Pure.
"""
