"""The commands of a document's `sh` blocks, run one after the other in one shell as a person would paste them.

In that shell `curl` is the real one, wrapped to record the status of each answer and to end an endless one (-N) after
its first event; `jq` is a small one of our own, since not every machine has it.
"""

import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S, START_S = 60.0, 300.0
"""For one command, and for one that starts a cluster."""
PROMISED = re.compile(r"#.*\banswers (\d{3})\b")
ASSIGNED = re.compile(r"([A-Z_]+)=")

CURL = """#!/bin/sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
set -- "{curl}" --silent --show-error --max-time 60 --dump-header "$folder/heads" "$@"
case " $* " in
    *" -N "*)
        mkfifo "$folder/events"
        "$@" >"$folder/events" &
        sed '/^data:/q' "$folder/events"
        kill $!
        wait $! 2>/dev/null
        ;;
    *) "$@" || echo "curl exit $?" >>"{answers}" ;;
esac
sed -n 's|^HTTP/[0-9.]* \\([0-9]*\\).*|\\1|p' "$folder/heads" | tail -n 1 >>"{answers}"
"""

JQ = """#!{python} -IS
import json, re, sys

value = json.load(sys.stdin)
for name, index in re.findall(r"[.]([a-z_]+)|\\[([0-9]+)\\]", sys.argv[-1]):
    value = value[name] if name else value[int(index)]
print(value if isinstance(value, str) and "-r" in sys.argv else json.dumps(value))
"""


@dataclass(frozen=True)
class Example:
    """One command. `promised` is the status that its comment names; None: any 2xx."""

    text: str
    promised: str | None

    @property
    def limit_s(self) -> float:
        return START_S if self.text.startswith("./dev up") else LIMIT_S

    def kept_by(self, statuses: list[str]) -> bool:
        if "curl " in self.text and not statuses:
            return False
        return all(status == self.promised if self.promised else status.startswith("2") for status in statuses)


def examples(text: str) -> list[Example]:
    """The commands of every `sh` block, in order."""
    found: list[Example] = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        pending = ""
        for line in block.splitlines(keepends=True):
            if not pending and (not line.strip() or line.startswith("#")):
                continue
            pending += line
            if is_whole(pending):
                promised = PROMISED.search(pending)
                found.append(Example(pending.rstrip("\n"), promised[1] if promised else None))
                pending = ""
        assert not pending, pending
    return found


def is_whole(text: str) -> bool:
    """Whether a shell would run the text instead of waiting for more."""
    return (
        not text.endswith("\\\n")
        and subprocess.run(["sh", "-n"], input=text.encode(), check=False, capture_output=True).returncode == 0
    )


@dataclass
class Shell:
    """One shell for all commands. Assignments of `fixtures` replace those that the document prints."""

    folder: Path
    fixtures: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self.answers, self.codes = self.folder / "answers", self.folder / "codes"
        programs = self.folder / "programs"
        programs.mkdir()
        values = {"python": sys.executable, "curl": shutil.which("curl"), "answers": self.answers}
        for name, text in (("curl", CURL), ("jq", JQ)):
            write_program(programs / name, text, values)
        self.answers.touch()
        self.codes.touch()
        self.output = (self.folder / "output").open("w+")
        self.process = subprocess.Popen(
            ["sh"], stdin=subprocess.PIPE, stdout=self.output, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        self.enter(f'PATH="{programs}:$PATH"')

    def enter(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def run(self, example: Example) -> str | None:
        """Why the command did not go as promised; None when it did."""
        before, start = len(lines(self.answers)), self.output.tell()
        name = ASSIGNED.match(example.text)
        text = f"{name[1]}='{self.fixtures[name[1]]}'" if name and name[1] in self.fixtures else example.text
        count = len(lines(self.codes)) + 1
        self.enter(f"{text}\nprintf '%s\\n' \"$?\" >>'{self.codes}'")
        deadline = time.monotonic() + example.limit_s
        while len(lines(self.codes)) < count:
            if time.monotonic() > deadline:
                return f"not done within {example.limit_s:.0f} s: {text}"
            time.sleep(0.01)
        statuses = lines(self.answers)[before:]
        if lines(self.codes)[-1] == "0" and example.kept_by(statuses):
            return None
        self.output.seek(start)
        return f"{statuses}: {text}\n    {self.output.read()[:600]}"

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(LIMIT_S)
        self.output.close()


def write_program(path: Path, text: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
