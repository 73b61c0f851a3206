<<<<<<< HEAD
"""Tools for tests of documents: `commands` runs the commands that they print."""
=======
"""Reads documents and runs the commands that they print."""
>>>>>>> he
