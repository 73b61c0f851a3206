"""The agent on an end server: runs the proxies of its local copy, also while its master is unreachable.

`__main__` is the command line and `app` the composition root. From a message to a running proxy: `agent` (messages,
requests, reports), `state` (files on disk), `reconcile` (plan, retries), `engine` (what runs proxies). Beside them:
`enrolment`, `network` (addresses and exits of the host), `commands` and `doctor`.
"""
