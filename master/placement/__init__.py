"""Pure decisions on placement: which node, how to spread, what to move, which exits."""
