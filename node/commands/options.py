"""Options of the subcommands."""

import argparse


def options(name: str, effect: str) -> argparse.ArgumentParser:
    """Build the parser of a subcommand."""
    return argparse.ArgumentParser(prog=f"maybe-node {name}", description=effect)
