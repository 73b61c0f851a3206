"""Upgrade of an installed node, from the agent's request to the version that serves.

The unprivileged agent writes a request (`requests`). `maybe-node apply-upgrade`, which the installation's owner runs,
root as a rule, carries it out (`upgrader`) and believes nothing of it: what a release key signed decides, and
`decisions` has the rules, pure. `records` are the files' models. `layout` knows the paths, `untrusted` reads what the
agent's user may plant, `durable` writes what has to survive a power loss, `downloads` and `unpacking` bring the bundle,
`versions` flips the symlinks, `agent` restarts and examines the agent, and `copy_backup` saves its local copy.
"""
