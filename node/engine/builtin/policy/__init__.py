"""Pure decisions about clients and traffic: no sockets, no clock of their own, no files.

`access`, `destination_guard` and `denied_destinations` decide who may connect where; `limits`, `quota_periods` and
`token_bucket` how much; `source_limits`, `unadmitted_clients`, `login_delays` and `descriptor_shares` protect a worker
from its clients; `bulk_detection` finds fast streams; `records` holds a proxy's settings as a worker sees them.
"""
