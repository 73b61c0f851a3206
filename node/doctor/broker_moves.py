"""Findings about the addresses of the broker that a node uses, keeps and tries. Pure."""

from node.state.broker_moves import BrokerConfig, NodeMoves
from shared.doctor.findings import Finding, ok, problem, warning


def move_findings(moves: NodeMoves) -> list[Finding]:
    """Judge how the last move to other addresses went."""
    found = [address_finding(moves)]
    if moves.next is not None:
        text = f"the move to {described(moves.next)} is under way"
        found.append(warning("broker move", text, "it ends within a minute while the agent runs; see its log"))
    if moves.failed is not None:
        text = f"the move to revision {moves.failed.rev} failed: {moves.failed.reason}"
        advice = (
            "correct the reason; the master asks again as long as it wants the move (GET /system/broker), and "
            "`maybe-node config` sets addresses by hand"
        )
        found.append(problem("broker move", text, advice))
    return found


def address_finding(moves: NodeMoves) -> Finding:
    """Name the addresses in use, and those that are kept as a way back."""
    text = f"uses {described(moves.current)}"
    if not moves.previous:
        return ok("broker address", text)
    kept = ", ".join(described(each) for each in moves.previous)
    advice = "start a master that is connected there, if none runs; it confirms the move when it hears the node"
    return warning("broker address", f"{text}, which no master has confirmed yet; keeps {kept}", advice)


def described(config: BrokerConfig) -> str:
    """Name addresses without their login, and their revision."""
    return f"{', '.join(config.addresses.bare_urls)} (revision {config.rev})"
