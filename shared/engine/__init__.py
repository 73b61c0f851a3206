"""What master and nodes know of the engines: their limits and defaults, and the random exits."""
