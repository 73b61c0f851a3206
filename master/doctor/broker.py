"""Findings about the broker: its version, login, permissions, alarms, connections and queues. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from shared.bus.connections import HEARTBEAT_S
from shared.bus.logins import LoginResult
from shared.doctor.findings import Finding, ok, problem, warning
from shared.messages.routes import DEAD_QUEUE, MASTER_QUEUE

OLDEST = (3, 10)
CONNECTIONS_PER_NODE = 2
BACKLOG = 1_000
EVERYTHING = (".*", ".*", ".*")
CERTIFICATE_ADVICE = (
    "set AMQP_CA_FILE to the authority of the broker's certificate, and use a host name of the certificate in AMQP_URL"
)


def version_finding(version: str) -> Finding:
    """Judge a version such as "3.10.8" or "4.1.0-beta.1"."""
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        return problem("RabbitMQ version", f"{version} is too old", "upgrade it to 3.10 or newer")
    return ok("RabbitMQ version", version)


def login_finding(login: LoginResult) -> Finding:
    """Judge the broker's answer to the login of AMQP_URL."""
    place = login.endpoint
    match login.state:
        case "accepted":
            return ok("RabbitMQ", f"the login is accepted at {place}, heartbeat {HEARTBEAT_S} s")
        case "away":
            advice = "check that it runs, that AMQP_URL is right, and that no firewall is in between"
            return problem("RabbitMQ", f"{place} cannot be used: {login.reason}", advice)
        case "untrusted":
            return problem("RabbitMQ", f"{place}: {login.reason}", CERTIFICATE_ADVICE)
        case "login refused":
            advice = "correct user name and password in AMQP_URL; guest may log in from the broker's own host only"
            return problem("RabbitMQ", f"{place} refuses the login: {login.reason}", advice)
        case "vhost refused":
            advice = "create the virtual host (rabbitmqctl add_vhost) and give the user permissions in it"
            return problem("RabbitMQ", f"{place} refuses the virtual host: {login.reason}", advice)


def tags_finding(user: str, tags: tuple[str, ...]) -> Finding:
    """Judge the user's tags: the master creates logins, which only an administrator may."""
    if "administrator" in tags:
        return ok("management API", f"answers; {user!r} is an administrator")
    return problem(
        "management API",
        f"{user!r} is no administrator (tags: {', '.join(tags) or 'none'}), so the master cannot create nodes' logins",
        f"rabbitmqctl set_user_tags {user} administrator",
    )


def permissions_finding(user: str, vhost: str, own: tuple[str, ...] | None) -> Finding:
    """Judge the user's own permissions (configure, write, read); None means none at all."""
    if own == EVERYTHING:
        return ok("vhost permissions", f"{user!r} may do everything in {vhost!r}")
    advice = f'rabbitmqctl set_permissions -p "{vhost}" {user} ".*" ".*" ".*"'
    if own is None:
        return problem("vhost permissions", f"{user!r} has none in {vhost!r}", advice)
    if own[1] == "^$" or own[2] == "^$" or "" in own[1:]:
        return problem("vhost permissions", f"{user!r} may not write or read in {vhost!r}", advice)
    return warning("vhost permissions", f"{user!r} may not do everything in {vhost!r}: {', '.join(own)}", advice)


def server_findings(server: Mapping[str, Any], nodes: int) -> list[Finding]:
    """Judge one member of the broker's cluster: alarms, partitions, room for connections."""
    if not server.get("running", True):
        return [
            problem(
                "broker", f"its member {server['name']} does not run", "start it, or remove it by forget_cluster_node"
            )
        ]
    found = [*alarm_findings(server), capacity_finding(server, nodes)]
    if server.get("partitions"):
        text = f"{server['name']} is cut off from other members of its cluster"
        found.append(problem("broker", text, "repair the network, then restart the members of the smaller part"))
    return found


def alarm_findings(server: Mapping[str, Any]) -> list[Finding]:
    """Judge the alarms. During one nobody can publish: no change reaches a node, and no report the master."""
    found: list[Finding] = []
    if server.get("mem_alarm"):
        text = (
            f"memory alarm: {megabytes(server, 'mem_used')} of {megabytes(server, 'mem_limit')} used; publishing stops"
        )
        advice = "find the long queue, give the host more memory, or raise vm_memory_high_watermark"
        found.append(problem("broker memory", text, advice))
    else:
        found.append(ok("broker memory", f"{megabytes(server, 'mem_used')} of {megabytes(server, 'mem_limit')} used"))
    free = f"{megabytes(server, 'disk_free')} free, alarm below {megabytes(server, 'disk_free_limit')}"
    if server.get("disk_free_alarm"):
        advice = "free space on the broker's disk, or lower disk_free_limit"
        found.append(problem("broker disk", f"disk alarm: {free}; publishing stops", advice))
    elif is_short(server.get("disk_free"), server.get("disk_free_limit")):
        found.append(warning("broker disk", free, "free space before the alarm stops all publishing"))
    else:
        found.append(ok("broker disk", free))
    return found


def is_short(free: object, limit: object) -> bool:
    """Return whether less than twice the alarm's limit is free; False when the broker does not report it."""
    return isinstance(free, int) and isinstance(limit, int) and free < 2 * limit


def megabytes(server: Mapping[str, Any], member: str) -> str:
    """Format an amount; "unknown" when the broker does not report it."""
    amount = server.get(member)
    return f"{amount / 1e6:,.0f} MB" if isinstance(amount, int | float) else "unknown"


def capacity_finding(server: Mapping[str, Any], nodes: int) -> Finding:
    """Compare the needed connections, two for each node and master, with the limit on open files."""
    limit = connection_limit(server)
    if limit is None:
        return ok("broker connections", "the broker does not report its limit on open files")
    needed = CONNECTIONS_PER_NODE * (nodes + 2)
    text = f"room for about {limit} (open files: {server.get('fd_total')}), {nodes} nodes and masters need {needed}"
    advice = "raise its limit on open files: LimitNOFILE=65536 in its systemd unit, --ulimit nofile in Docker"
    if needed > limit:
        return problem("broker connections", f"{text}: the next connection hangs", advice)
    if needed > 0.7 * limit:
        return warning("broker connections", text, advice)
    return ok("broker connections", text)


def connection_limit(server: Mapping[str, Any]) -> int | None:
    """Return the broker's own figure, or derive it from open files: (files - 100) * 0.9 (RabbitMQ's file_handle_cache).

    A broker with 1,024 files stopped at 832 connections.
    """
    sockets, files = server.get("sockets_total"), server.get("fd_total")
    if isinstance(sockets, int) and sockets > 0:
        return sockets
    return int((files - 100) * 0.9) if isinstance(files, int) and files > 100 else None


def queue_findings(messages: Mapping[str, int], consumers: Mapping[str, int], *, nodes: int) -> list[Finding]:
    """Judge the queues that masters share."""
    return [*dead_findings(messages.get(DEAD_QUEUE)), *inbox_findings(messages, consumers, nodes)]


def dead_findings(dead: int | None) -> list[Finding]:
    """Judge the queue where unreadable messages are parked, each with its reason."""
    if not dead:
        return [] if dead is None else [ok(DEAD_QUEUE, "empty: every message could be read")]
    text = f"holds {dead} messages that could not be read"
    advice = "look at their header `reason` in the management UI (programs of different versions?), then purge it"
    return [warning(DEAD_QUEUE, text, advice)]


def inbox_findings(messages: Mapping[str, int], consumers: Mapping[str, int], nodes: int) -> list[Finding]:
    """Judge whether masters consume the queue fast enough."""
    waiting, masters = messages.get(MASTER_QUEUE), consumers.get(MASTER_QUEUE, 0)
    if waiting is None:
        return []
    if not masters and nodes:
        return [warning(MASTER_QUEUE, f"no master is connected; {waiting} messages wait", "start a master")]
    if waiting > BACKLOG:
        advice = "check whether the database is slow or a master hangs (its log); more masters share the work"
        return [warning(MASTER_QUEUE, f"{waiting} messages wait for {masters} masters", advice)]
    return [ok(MASTER_QUEUE, f"{masters} masters connected, {waiting} messages wait")]
