"""What an examination found, in words, and how it is told to a person and to a program."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do unless it is ok. Never holds a secret."""

    check: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.level:8} {self.check}: {one_line(self.text)}{advice}"


def ok(check: str, text: str) -> Finding:
    """As it should be, or not to be told from here."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, but not for long, or not wholly."""
    return Finding(check, "warning", text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """Something does not work."""
    return Finding(check, "problem", text, advice)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when nothing is a problem, 1 otherwise."""
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def as_text(findings: Sequence[Finding]) -> str:
    """One line a finding, and a last one that counts them."""
    counts = Counter(finding.level for finding in findings)
    last = f"problems: {counts['problem']}, warnings: {counts['warning']}, ok: {counts['ok']}"
    return "\n".join([*map(str, findings), "", last])


def as_json(findings: Sequence[Finding]) -> str:
    """`{"ok", "findings": [{"check", "level", "text", "advice"}]}`."""
    shown = [
        {"check": finding.check, "level": finding.level, "text": one_line(finding.text), "advice": finding.advice}
        for finding in findings
    ]
    return json.dumps({"ok": exit_code(findings) == 0, "findings": shown}, indent=2)


def one_line(text: str) -> str:
    """What others said may have line breaks and control characters, which could play tricks on a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def some(names: Sequence[object], most: int = 5) -> str:
    """The first few in words: "1, 2, 3 and 40 more"."""
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
