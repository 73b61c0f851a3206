"""What the master's broker looks like, and what to do about it."""

import re
from collections.abc import Mapping
from typing import Any

from shared.bus.connections import HEARTBEAT_S
from shared.bus.logins import LoginResult
from shared.doctor.findings import Finding, ok, problem, warning
from shared.messages.routes import DEAD_QUEUE, MASTER_QUEUE

OLDEST = (3, 10)
CONNECTIONS_A_NODE = 2
BACKLOG = 1_000
EVERYTHING = (".*", ".*", ".*")


def version_finding(version: str) -> Finding:
    """Of "3.10.8" or "4.1.0-beta.1"."""
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        return problem("RabbitMQ version", f"{version} is too old", "upgrade it to 3.10 or newer")
    return ok("RabbitMQ version", version)


def login_finding(login: LoginResult, place: str) -> Finding:
    """How the broker took the login of AMQP_URL at `place`, host:port."""
    match login.state:
        case "accepted":
            return ok("RabbitMQ", f"the login is accepted at {place}, heartbeat {HEARTBEAT_S} s")
        case "away":
            advice = "is it up, is AMQP_URL right, does a firewall stand between"
            return problem("RabbitMQ", f"{place} cannot be used: {login.reason}", advice)
        case "login refused":
            advice = "mend user name and password in AMQP_URL; guest may come from the broker's own host only"
            return problem("RabbitMQ", f"{place} refuses the login: {login.reason}", advice)
        case "vhost refused":
            advice = "make the virtual host (rabbitmqctl add_vhost) and give the user permissions in it"
            return problem("RabbitMQ", f"{place} refuses the virtual host: {login.reason}", advice)


def tags_finding(user: str, tags: tuple[str, ...]) -> Finding:
    """The master makes logins, which only an administrator may."""
    if "administrator" in tags:
        return ok("management API", f"answers; {user!r} is an administrator")
    return problem(
        "management API",
        f"{user!r} is no administrator (tags: {', '.join(tags) or 'none'}), so the master cannot make nodes' logins",
        f"rabbitmqctl set_user_tags {user} administrator",
    )


def permissions_finding(user: str, vhost: str, own: tuple[str, ...] | None) -> Finding:
    """`own`: (configure, write, read), None for none at all."""
    if own == EVERYTHING:
        return ok("vhost permissions", f"{user!r} may do everything in {vhost!r}")
    advice = f'rabbitmqctl set_permissions -p "{vhost}" {user} ".*" ".*" ".*"'
    if own is None:
        return problem("vhost permissions", f"{user!r} has none in {vhost!r}", advice)
    if own[1] == "^$" or own[2] == "^$" or "" in own[1:]:
        return problem("vhost permissions", f"{user!r} may not write or read in {vhost!r}", advice)
    return warning("vhost permissions", f"{user!r} may not do everything in {vhost!r}: {', '.join(own)}", advice)


def server_findings(server: Mapping[str, Any], nodes: int) -> list[Finding]:
    """Of one member of the broker's cluster: alarms, partitions, room for connections."""
    if not server.get("running", True):
        return [problem("broker", f"its member {server['name']} does not run", "start it, or forget_cluster_node")]
    found = [*alarm_findings(server), capacity_finding(server, nodes)]
    if server.get("partitions"):
        text = f"{server['name']} is cut off from other members of its cluster"
        found.append(problem("broker", text, "mend the network, then restart the members that lost"))
    return found


def alarm_findings(server: Mapping[str, Any]) -> list[Finding]:
    """Under an alarm nobody can publish: no change reaches a node, no report the master."""
    found: list[Finding] = []
    if server.get("mem_alarm"):
        text = (
            f"memory alarm: {megabytes(server, 'mem_used')} of {megabytes(server, 'mem_limit')} used; publishing stops"
        )
        advice = "see which queue is long, give the host more memory, or raise vm_memory_high_watermark"
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
    """Less than twice what the alarm needs; False when the broker does not tell."""
    return isinstance(free, int) and isinstance(limit, int) and free < 2 * limit


def megabytes(server: Mapping[str, Any], member: str) -> str:
    """For a person; "unknown" when the broker does not tell."""
    amount = server.get(member)
    return f"{amount / 1e6:,.0f} MB" if isinstance(amount, int | float) else "unknown"


def capacity_finding(server: Mapping[str, Any], nodes: int) -> Finding:
    """Two connections a node and a master, against the limit on open files."""
    limit = connection_limit(server)
    if limit is None:
        return ok("broker connections", "the broker does not tell its limit on open files")
    needed = CONNECTIONS_A_NODE * (nodes + 2)
    text = f"room for about {limit} (open files: {server.get('fd_total')}), {nodes} nodes and masters need {needed}"
    advice = "raise its limit on open files: LimitNOFILE=65536 in its systemd unit, --ulimit nofile in Docker"
    if needed > limit:
        return problem("broker connections", f"{text}: the next one hangs", advice)
    if needed > 0.7 * limit:
        return warning("broker connections", text, advice)
    return ok("broker connections", text)


def connection_limit(server: Mapping[str, Any]) -> int | None:
    """The broker's own figure, or what it makes of its open files: (files - 100) * 0.9 (RabbitMQ's file_handle_cache);
    with 1,024 files it stopped at 832 connections."""
    sockets, files = server.get("sockets_total"), server.get("fd_total")
    if isinstance(sockets, int) and sockets > 0:
        return sockets
    return int((files - 100) * 0.9) if isinstance(files, int) and files > 100 else None


def queue_findings(messages: Mapping[str, int], consumers: Mapping[str, int], *, nodes: int) -> list[Finding]:
    """Of the queues that masters share."""
    return [*dead_findings(messages.get(DEAD_QUEUE)), *inbox_findings(messages, consumers, nodes)]


def dead_findings(dead: int | None) -> list[Finding]:
    """Unreadable messages are parked there, each with its reason."""
    if not dead:
        return [] if dead is None else [ok(DEAD_QUEUE, "empty: every message could be read")]
    text = f"holds {dead} messages that could not be read"
    advice = "look at their header `reason` in the management UI (programs of different versions?), then purge it"
    return [warning(DEAD_QUEUE, text, advice)]


def inbox_findings(messages: Mapping[str, int], consumers: Mapping[str, int], nodes: int) -> list[Finding]:
    """Whether masters listen, and keep up."""
    waiting, masters = messages.get(MASTER_QUEUE), consumers.get(MASTER_QUEUE, 0)
    if waiting is None:
        return []
    if not masters and nodes:
        return [warning(MASTER_QUEUE, f"no master is connected; {waiting} messages wait", "start a master")]
    if waiting > BACKLOG:
        advice = "is the database slow, or does a master hang: its log; more masters share the work"
        return [warning(MASTER_QUEUE, f"{waiting} messages wait for {masters} masters", advice)]
    return [ok(MASTER_QUEUE, f"{masters} masters connected, {waiting} messages wait")]
