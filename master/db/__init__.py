"""The door to PostgreSQL: pool, named statements, constraints, notifications and migrations."""
