"""State of a node on disk.

`local_copy` holds the values and decides on messages (pure); `store` writes them to SQLite, `local_copy_file` opens and
checks that file, `sqlite_image` reads it where SQLite cannot. `identity` and `agent_lock` are files of their own.
"""
