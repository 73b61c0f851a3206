"""The only door to PostgreSQL.

`database` has the pool, `statements` the named statements of the .sql files. `constraints` turns violated constraints
and unknown ids into refusals, `notifications` listens, `dry_run` rolls every transaction back, and `background` keeps
loops running while the database or the broker is away.
`inspection` opens a read-only connection for the doctor, `peer_watchdog` ends transactions of frozen masters, and
`migrations` creates the schema.
"""
