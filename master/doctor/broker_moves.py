"""Findings about a move of the broker, and about settings that it has made outdated. Pure."""

from master.domain.broker_links.schemas import BrokerMove, BrokerOverview, LeftBroker, OutdatedSetting
from shared.doctor.findings import Finding, ok, problem, some, warning

CHECK = "broker link"
LOOK = "GET /system/broker shows why; nodes that failed or were offline are asked again"
END = "POST /system/broker/finish leaves the former broker"


def move_findings(shown: BrokerOverview) -> list[Finding]:
    """Judge the move that is under way, the broker that was left, and the settings."""
    found = [] if shown.move is None else moving_findings(shown.move)
    if shown.outdated_settings:
        found.append(outdated_finding(shown.outdated_settings, ", ".join(shown.link.amqp_urls)))
    if shown.left is not None and shown.left.left_over:
        found.append(left_finding(shown.left, shown.left.left_over))
    return found or [ok(CHECK, f"revision {shown.link.rev}, at {', '.join(shown.link.amqp_urls)}")]


def moving_findings(move: BrokerMove) -> list[Finding]:
    """Judge a move: masters that are not connected to both brokers, and nodes that have not moved."""
    place = ", ".join(move.link.amqp_urls)
    found: list[Finding] = []
    if away := [master.host for master in move.masters if not master.is_up]:
        advice = "check their log and the way from these hosts; no node is asked to move before they are connected"
        found.append(
            problem(CHECK, f"masters not connected to the broker at its new place {place}: {some(away)}", advice)
        )
    if move.missing:
        names = [f"{node.name} ({node.reason})" if node.reason else node.name for node in move.missing]
        count = move.nodes.total - move.nodes.moved
        found.append(
            warning(CHECK, f"{count} of {move.nodes.total} nodes have not moved to {place}: {some(names)}", LOOK)
        )
    return found or [warning(CHECK, f"all {move.nodes.total} nodes have moved to {place}", END)]


def outdated_finding(settings: list[OutdatedSetting], place: str) -> Finding:
    """Judge settings that name another place than the one to which the broker was moved."""
    values = "; ".join(f"{setting.name}={setting.value}" for setting in settings)
    text = f"the broker was moved to {place}, which counts, but the settings name another place"
    return warning(CHECK, text, f"set on every master, with the login in AMQP_URL: {values}")


def left_finding(left: LeftBroker, reason: str) -> Finding:
    """Judge a broker that was left with the logins of nodes in it."""
    text = f"the broker at {', '.join(left.amqp_urls)} was left, but {reason}"
    return warning(CHECK, text, "shut it down, or delete its users node-*")
