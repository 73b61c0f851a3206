"""Check of exits: whether connections can leave this host by the addresses and prefixes of the proxies' exits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from node.network.exit_requirements import ExitProblem, ExitRequirement
from node.network.exit_trial import failed_exits
from shared.doctor.findings import Finding, ok, problem, warning

Trial = Callable[[Collection[ExitRequirement]], Mapping[ExitRequirement, ExitProblem]]


def exit_findings(required: Iterable[ExitRequirement], trial: Trial = failed_exits) -> list[Finding]:
    """Judge each address and prefix; `required` names each as often as proxies use it."""
    counts = Counter(required)
    try:
        failed = trial(counts.keys())
    except OSError as error:
        return [warning("exits", f"cannot be tried: {error.strerror}", "run the doctor where it may open sockets")]
    return [exit_finding(each, count, failed.get(each)) for each, count in sorted(counts.items())]


def exit_finding(requirement: ExitRequirement, proxies: int, failure: ExitProblem | None) -> Finding:
    """Judge one address or prefix; `failure` is None when it works."""
    if failure is None:
        return ok("exits", f"{requirement.source} works (exit of {proxies} proxies)")
    hint = " (if a router asks for each address, run an NDP responder as well)" if requirement.is_prefix else ""
    text = f"{failure.reason}; the {proxies} proxies with this exit reach nothing"
    return problem("exits", text, failure.remedy + hint)
