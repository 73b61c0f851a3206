"""The subcommands of `maybe-node` other than the agent itself."""
