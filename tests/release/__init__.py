"""Small signed bundles for tests, and wrong ones."""
