"""Compiled modules of an installed version. The agent's user cannot write them, and each start would compile again."""

import shutil
import subprocess
import sys
from pathlib import Path

from node.upgrade.decisions import Refused
from node.upgrade.unpacking import BUNDLE_MARK, COMPILED, FILES, sha256_of

COMPILE_S = 600.0
OWN_PYTHON = "python/bin/python3"
PYTHON = "PYTHON"
COMPILED_FOLDERS = ("lib", "python")
OPTIONS = ("-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")


def compile_modules(folder: Path, bundle_sha256: str) -> None:
    """Compile a verified version, and write by which sums install.sh finds damage later. Raises Refused, OSError."""
    for part in COMPILED_FOLDERS:
        if (folder / part).is_dir():
            run_compiler([python_of(folder), *OPTIONS, str(folder / part)])
    compiled = sorted(path for path in folder.rglob("*.pyc") if path.is_file())
    lines = [f"{sha256_of(path)}  ./{path.relative_to(folder)}\n" for path in compiled]
    (folder / COMPILED).write_text("".join(lines))
    sums = (bundle_sha256, sha256_of(folder / FILES), sha256_of(folder / COMPILED))
    (folder / BUNDLE_MARK).write_text(" ".join(sums) + "\n")


def run_compiler(command: list[str]) -> None:
    """Run the compiler. Raises Refused, OSError."""
    try:
        done = subprocess.run(command, check=False, timeout=COMPILE_S, capture_output=True, cwd="/")  # noqa: S603 (our own)
    except subprocess.TimeoutExpired:
        raise Refused(f"the modules were not compiled within {COMPILE_S:.0f} s") from None
    if done.returncode:
        text = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise Refused(f"the modules cannot be compiled: {text[-150:]}")


def python_of(folder: Path) -> str:
    """Return the Python that runs a version: its own, or the host's of the minor version that it needs. Raises Refused,
    OSError."""
    own = folder / OWN_PYTHON
    if own.exists():
        return str(own)
    wanted = (folder / PYTHON).read_text().strip()
    if wanted == minor_version() and "versions" not in Path(sys.executable).parts:
        return sys.executable
    found = shutil.which(f"python{wanted}")
    if found is None:
        raise Refused(f"Python {wanted} is not installed on this host")
    return found


def minor_version() -> str:
    """Return the minor version of the running Python, such as 3.11."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
