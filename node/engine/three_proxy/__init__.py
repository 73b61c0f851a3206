"""The 3proxy engine: one 3proxy process for each proxy."""
