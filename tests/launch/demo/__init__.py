"""The demo fleet of `./dev up --demo`: locations, nodes, stacks, customers, traffic and trouble for every screen."""
