"""Words that were replaced by terms of the field, each with the term that stands in its place."""

import re

RETIRED = {
    r"wish(es|ed)?": "request, body",
    r"told": "reported, notified",
    r"tells": "reports, shows",
    r"says": "reports, has",
    r"seams?": "dependencies, interface",
    r"rehears(e|es|ed|als?)": "dry run",
    r"(?<!of )courses?": "plan",
    r"crew": "worker pool",
    r"census": "running",
    r"tally": "counters",
    r"passage": "lock",
    r"hindrances?": "obstacle, reason",
    r"absurdity": "implausible",
    r"tellings?": "usage reports",
    r"uplink": "publisher",
    r"a box|the box|boxes|new box|old box": "host",
    r"strangers?": "another program",
    r"shall": "a plain verb",
    r"anew": "again, new",
    r"likewise": "also",
    r"is to be had": "exists, is available",
    r"by (itself|themselves)": "a plain verb, automatically",
    r"unseen": "never_reported",
    r"made anew": "restored",
    r"look-ups?": "lookup",
    r"no room": "insufficient capacity",
    r"retold|verdicts?": "reapplied, outcome",
}
"""Pattern of whole words in any case -> the term."""

RETIRED_NAMES = {
    r"\w+Wish": "...Request, ...Options",
    r"\w+Changes": "...Patch",
    r"\w+(Link|Webhook)Made|LinkMade|WebhookMade": "...Created",
    r"Gone|Drawn|Asked|Told|Shown|Question|Verdict|Standing|Turn": "the resource's own term",
}
"""Pattern of names of models -> what they are called now."""


def retired_in(text: str, pattern: str) -> list[str]:
    """Each use of a retired word, with the words around it."""
    return [
        " ".join(text[max(0, found.start() - 40) : found.end() + 40].split())
        for found in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", text, re.IGNORECASE)
    ]
