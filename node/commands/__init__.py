"""Subcommands of `maybe-node` that act beside the agent: `stop`, `upgrade-engine` and `whois`, one module each."""
