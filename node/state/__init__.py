"""What a node keeps on disk: local copy, usage store, identity and lock."""
