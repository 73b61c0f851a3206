"""Findings of an examination, as text for a person and as JSON for a program. Pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check: its name, level and text, and advice unless it is ok. Never holds a secret."""

    check: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.level:8} {self.check}: {one_line(self.text)}{advice}"


def ok(check: str, text: str) -> Finding:
    """Build a finding without a fault, or about something that cannot be checked from here."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str) -> Finding:
    """Build a finding about something that works in part, or not for long."""
    return Finding(check, "warning", text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """Build a finding about something that does not work."""
    return Finding(check, "problem", text, advice)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when there is no problem, and 1 otherwise."""
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def as_text(findings: Sequence[Finding]) -> str:
    """Format one line per finding, and a last line that counts them."""
    counts = Counter(finding.level for finding in findings)
    last = f"problems: {counts['problem']}, warnings: {counts['warning']}, ok: {counts['ok']}"
    return "\n".join([*map(str, findings), "", last])


def as_json(findings: Sequence[Finding]) -> str:
    """Format as `{"ok", "findings": [{"check", "level", "text", "advice"}]}`."""
    rows = [
        {"check": finding.check, "level": finding.level, "text": one_line(finding.text), "advice": finding.advice}
        for finding in findings
    ]
    return json.dumps({"ok": exit_code(findings) == 0, "findings": rows}, indent=2)


def one_line(text: str) -> str:
    """Remove line breaks and control characters, which in other programs' texts could manipulate a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def some(names: Sequence[object], most: int = 5) -> str:
    """List the first few names: "1, 2, 3 and 40 more"."""
    first = ", ".join(str(name) for name in names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first
