"""Whether connections can leave this host as the proxies' exits demand: the doctor's look at exits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from node.network.exit_requirements import Lack, Need
from node.network.exit_trial import failed_exits
from shared.doctor.findings import Finding, ok, problem, warning

Trial = Callable[[Collection[Need]], Mapping[Need, Lack]]


def exit_findings(needs: Iterable[Need], trial: Trial = failed_exits) -> list[Finding]:
    """One for each address and each prefix; `needs` names each once for each proxy that leaves by it."""
    counts = Counter(needs)
    try:
        failed = trial(counts.keys())
    except OSError as error:
        return [warning("exits", f"they cannot be tried: {error.strerror}", "run this where it may open sockets")]
    return [need_finding(need, count, failed.get(need)) for need, count in sorted(counts.items())]


def need_finding(need: Need, proxies: int, lack: Lack | None) -> Finding:
    """`lack` is None where the exit works."""
    if lack is None:
        return ok("exits", f"{need.place} works ({proxies} proxies leave by it)")
    hint = " (an NDP responder is needed where a router asks for each address)" if need.is_prefix else ""
    return problem("exits", f"{lack.reason}; {proxies} proxies that leave by it reach nothing", lack.remedy + hint)
