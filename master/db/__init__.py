"""The only door to PostgreSQL.

`database` has the pool, `statements` the named statements of the .sql files. `constraints` turns violated constraints
into refusals, `rows` refuses unknown ids, `notifications` listens, and `dry_run` rolls every transaction back.
`inspection` opens a read-only connection for the doctor, `peer_watchdog` ends transactions of frozen masters, and
`migrations` creates the schema.
"""
