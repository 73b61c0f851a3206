"""Findings about a broker that is a cluster: its members, the copies of its queues, and the addresses of it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from master.settings import Settings
from shared.doctor.findings import Finding, ok, problem, some, warning

ENOUGH_COPIES = 3
GROW = "run `rabbitmq-queues grow NAME all` with the name of each broker that has no copies"
CONVERT = (
    "set QUEUE_TYPE=quorum, restart the masters, and delete these queues one by one: a master makes each again within "
    "20 seconds (docs/rabbitmq-cluster.md)"
)
NAME_ALL = "name every broker, with commas between, unless this address is a balancer's in front of all of them"

BrokerMember = Mapping[str, Any]
Queue = Mapping[str, Any]


def cluster_findings(servers: Sequence[BrokerMember], queues: Sequence[Queue]) -> list[Finding]:
    """Judge the members of a cluster, and where its queues live; nothing for a broker that is alone."""
    if len(servers) < 2:
        return []
    running = [server for server in servers if server.get("running", True)]
    parted = any(server.get("partitions") for server in running)
    found = [*size_findings(len(servers), len(running)), *queue_copies_findings(queues, len(servers))]
    if parted or found:
        return found
    return [ok("broker cluster", f"{len(running)} brokers run, and each queue has copies on most of them")]


def size_findings(brokers: int, running: int) -> list[Finding]:
    """Judge the number of brokers: more than half of them have to run, so an odd number is best."""
    if 2 * running <= brokers:
        text = f"{running} of {brokers} brokers run: without more than half of them, nothing is delivered"
        return [problem("broker cluster", text, "start the others")]
    if brokers > running and running - 1 <= brokers // 2:
        text = f"{running} of {brokers} brokers run: when one more is away, nothing is delivered"
        return [problem("broker cluster", text, "start the others")]
    if brokers == 2:  # both run
        text = "two brokers: when one is away, the other one has no majority and stops as well"
        return [warning("broker cluster", text, "add a third broker")]
    return []


def queue_copies_findings(queues: Sequence[Queue], brokers: int) -> list[Finding]:
    """Judge the queues: those on one broker alone, with too few copies, or without a majority of them."""
    quorum = [queue for queue in queues if queue.get("type") == "quorum"]
    classic = [queue["name"] for queue in queues if queue.get("type", "classic") == "classic"]
    short = [queue["name"] for queue in quorum if copies(queue) < min(brokers, ENOUGH_COPIES)]
    stuck = [queue["name"] for queue in quorum if queue.get("members") and not has_majority(queue)]
    found: list[Finding] = []
    if stuck:
        text = f"most copies of {some(stuck)} are away: nothing is delivered through them"
        found.append(problem("broker queues", text, "start the brokers that have copies of them"))
    if short:
        text = f"{some(short)} have copies on too few of {brokers} brokers, so the loss of one may stop them"
        found.append(warning("broker queues", text, GROW))
    if classic:
        text = f"{some(classic)} are classic queues: each is on one broker, and away or lost with it"
        found.append(problem("broker queues", text, CONVERT))
    return found


def copies(queue: Queue) -> int:
    """Count the brokers with a copy of a quorum queue; enough when the broker does not report them yet."""
    return length(queue.get("members")) or ENOUGH_COPIES


def has_majority(queue: Queue) -> bool:
    """Whether more than half of the copies of a quorum queue run."""
    online = queue.get("online")
    return online is None or 2 * length(online) > copies(queue)


def length(value: object) -> int:
    """Return the length of a list, 0 of anything else."""
    return len(cast("list[object]", value)) if isinstance(value, list) else 0


def address_counts(settings: Settings) -> Mapping[str, int]:
    """Count the addresses of the broker in each setting that is given."""
    counts = {"AMQP_URL": len(settings.amqp_urls), "RABBITMQ_MANAGEMENT_URL": len(settings.management_urls)}
    nodes = settings.given_node_amqp_urls
    return counts | ({"NODE_AMQP_URL": len(nodes)} if nodes else {})


def address_findings(brokers: int, named: Mapping[str, int]) -> list[Finding]:
    """Judge whether the settings name the whole cluster; `named` counts the addresses of each variable."""
    if brokers < 2:
        return []
    return [
        warning(
            "broker addresses",
            f"{variable} names 1 of {brokers} brokers: with that one gone, the others are not used",
            NAME_ALL,
        )
        for variable, count in named.items()
        if count == 1
    ]


def sameness_findings(names: Mapping[str, str]) -> list[Finding]:
    """Judge whether the addresses lead to one cluster; `names` maps each address to the name of its cluster."""
    if len(set(names.values())) < 2:
        return []
    text = ", ".join(f"{address} is {name!r}" for address, name in names.items())
    advice = "name the brokers of one cluster, or join them (docs/rabbitmq-cluster.md)"
    return [problem("broker addresses", f"RABBITMQ_MANAGEMENT_URL leads to different clusters: {text}", advice)]
