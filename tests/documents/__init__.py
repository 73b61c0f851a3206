"""Tools for tests of documents: `commands` runs the commands that they print."""
