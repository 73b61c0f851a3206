"""What a node's program needs: the packages of its bundle, and no others."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = ("litestar", "msgspec", "httpx", "httpcore", "asyncpg", "master")
"""Packages that a node's bundle lacks."""
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("node", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
IMPORT_ALL = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules.update(dict.fromkeys({FOREIGN!r}))
for name in {MODULES!r} + ["node.__main__"]:
    importlib.import_module(name)
"""


def test_no_module_of_a_node_needs_a_package_of_the_master():
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True, timeout=60)
