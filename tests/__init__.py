"""Tests, and the harness that runs the whole cluster for them and for `./dev up`."""
