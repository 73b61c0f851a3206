"""Every rule of the protocol: its name, its function, the source text that it is, and what stands there without it."""

from master.sync import inbox, report_rules
from node.reconcile import plan as reconcile
from node.state import local_copy
from shared.messages import assembly
from tests.model.mutants import Mutant

LOCAL_COPY = [
    ("a stale list is dropped", "on_list", "if header.rev < copy.rev:", "if False:"),
    ("a list at our own rev counts", "on_list", "if header.rev < copy.rev:", "if header.rev <= copy.rev > 0:"),
    ("a list raises seen", "on_list", "seen = max(copy.seen, header.rev)", "seen = copy.seen"),
    ("a list raises top", "on_list", "top = max(copy.top, max(wanted.values(), default=0))", "top = copy.top"),
    (
        "a taken list raises rev",
        "on_list",
        "rev=header.rev, seen=seen, top=top, want",
        "rev=copy.rev, seen=seen, top=top, want",
    ),
    ("what is not listed stops", "on_list", "(copy.wanted.keys() | copy.proxies.keys()) - wanted.keys()", ""),
    (
        "what is not listed is no longer wanted",
        "on_list",
        "(copy.wanted.keys() | copy.proxies.keys())",
        "copy.proxies.keys()",
    ),
    ("what is listed is wanted", "on_list", "want=want, ", ""),
    ("the guard holds a list", "on_list", "if guarded(", "if False and guarded("),
    ("a held list does not raise rev", "on_list", 'verdict="held", rev=copy.rev', 'verdict="held", rev=header.rev'),
    (
        "a held list raises seen",
        "on_list",
        'verdict="held", rev=copy.rev, seen=seen',
        'verdict="held", rev=copy.rev, seen=copy.seen',
    ),
    ("a held list is told", "on_list", "top=copy.top, held=held,", "top=copy.top,"),
    ("only removals since our own revision count", "on_list", " if rev > copy.rev", ""),
    ("confirm counts", "guarded", "stops - confirmed", "stops"),
    ("few may always stop", "guarded", "unaccounted > GUARD_FLOOR and ", ""),
    ("half may always stop", "guarded", " and unaccounted * 2 > proxies - confirmed", ""),
    ("what is on purpose is no part of the whole", "guarded", "proxies - confirmed", "proxies"),
    ("a record raises seen", "on_records", "seen=max(copy.seen, header.rev)", "seen=copy.seen"),
    (
        "a record raises top",
        "on_records",
        "top=max(copy.top, max((stored.version for stored in put.values()), default=0))",
        "top=copy.top",
    ),
    (
        "an unwanted record is dropped",
        "is_acceptable",
        "if item.id not in copy.wanted:",
        "if item.id not in copy.wanted and rev < copy.rev:",
    ),
    ("other contents of the held version are left", "is_acceptable", "stored.content != item.content", "False"),
    ("a record is not older than the held one", "is_acceptable", "stored is None or rev >= stored.rec_rev", "True"),
    ("a record of our rev counts", "is_acceptable", "if rev >= copy.rev:", "if rev > copy.rev:"),
    ("an older record must be the wanted one", "is_acceptable", "item.version == copy.wanted[item.id] and ", ""),
    (
        "an older record must be above the applied one",
        "is_acceptable",
        "(stored is None or item.version > stored.version)",
        "True",
    ),
    (
        "an older record may be what is wanted",
        "is_acceptable",
        "return item.version ==",
        "return False and item.version ==",
    ),
    (
        "a refused record is remembered",
        "stored_proxy",
        "    except ValidationError as error:",
        "    except ZeroDivisionError as error:",
    ),
    ("the last good record is kept", "stored_proxy", "before.good if before is not None else None", "None"),
    ("when a record was read is kept", "stored_proxy", "rec_rev=rev", "rec_rev=0"),
]
REPORT_RULES = [
    ("seen beyond the revision heals", "decide", "if report.seen > desired.revision:", "if False:"),
    ("the revision is raised above what was seen", "decide", "report.seen + 1", "report.seen"),
    (
        "versions are raised above what was seen",
        "decide",
        "raise_to=report.seen + 1, above=above",
        "raise_to=report.seen + 1, above=0",
    ),
    ("renewed versions are above what was seen", "decide", "renew=True, above=above", "renew=True, above=0"),
    ("another rev calls for a list", "decide", "report.rev == desired.revision and report.digest", "report.digest"),
    (
        "another digest calls for a list",
        "decide",
        "report.rev == desired.revision and report.digest == desired.digest",
        "report.rev == desired.revision",
    ),
    ("other contents heal", "decide", "report.content != desired.content", "False"),
    ("a misled node is told", "decide", "not same_list or misled or", "not same_list or"),
    ("missing records mislead", "decide", "report.missing > 0 or ", ""),
    ("a held list misleads", "decide", "report.missing > 0 or report.held is not None", "report.missing > 0"),
    ("a connected node is told", "decide", " or report.connected", ""),
    ("what is not done is not confirmed", "decide", "min(report.done, report.rev)", "report.rev"),
    ("what is not listed is not confirmed", "decide", "min(report.done, report.rev)", "report.done"),
    ("a held list confirms nothing", "decide", "follows_another or report.held is not None", "follows_another"),
    ("another list of this revision confirms nothing", "decide", "follows_another or report.held", "report.held"),
    ("a misled node confirms nothing", "decide", "same_list == misled", "not same_list and not misled"),
]
ASSEMBLY = [
    ("parts act only when all are there", "assemble", "if len(got) == header.parts:", "if True:"),
    ("parts are kept", "assemble", "**(begun.got if begun is not None and same else {}), ", ""),
    (
        "parts of one list belong to one rev",
        "assemble",
        "(begun.rev, begun.parts) == (header.rev, header.parts)",
        "True",
    ),
    ("all parts make the list", "assemble", "tuple(pair for part in sorted(got) for pair in got[part])", "body.pairs"),
    ("rounds that never end do not pile up", "assemble", "list(others.items())[-ROUNDS_KEPT + 1 :]", "others"),
    ("a lost part does not stand in the way", "assemble", "{**kept, round_:", "{round_:"),
]
RECONCILE = [
    ("nothing stops before a first list", "plan", " and copy.rev > 0", ""),
    ("only what is not wanted stops", "plan", "id_ not in copy.wanted and ", ""),
    ("what is not wanted stops", "plan", "stop = [id_ for", "stop = [id_ for id_ in () for"),
    ("the new version starts", "due", "running is None or not running.runs(stored)", "running is None"),
    ("what was adopted is what ran last", "adopted", "or good.version != version", ""),
    ("what was adopted is known by what ran last only", "adopted", "good is None or ", "stored is None or "),
    (
        "the last good record stands in",
        "due",
        "return stored.good if stored.good is not stored.record else None",
        "return None",
    ),
]
INBOX = [
    ("a sender is proven", "sender", "if message.user_id is None:", "if False:"),
    ("a sender speaks for itself", "sender", "message.user_id != node_login(node_id)", "False"),
    ("a node sends its two types", "sender", 'message.type not in ("need-sync", "report") or ', ""),
    ("a sender uses its own key", "sender", " or message.key != report_key(node_id, message.type)", ""),
    ("a sender is of this cluster", "sender", "header.cluster != cluster", "False"),
]
TABLE = {local_copy: LOCAL_COPY, report_rules: REPORT_RULES, assembly: ASSEMBLY, reconcile: RECONCILE, inbox: INBOX}
MUTANTS = [
    Mutant(name, module, function, rule, without)
    for module, rows in TABLE.items()
    for name, function, rule, without in rows
]
