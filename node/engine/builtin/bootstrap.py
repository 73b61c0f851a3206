"""Runs a module of this package without importing the packages around it.

Those import what an agent needs. A worker needs only the standard library and a few modules of `shared`; it starts in a
tenth of the time and takes half the memory. It uses no TLS, and asyncio works without: loading OpenSSL would cost
another tenth of the start and of the memory.

Run as `python -I -S bootstrap.py MODULE ARGUMENTS...`.
"""

import os
import runpy
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    sys.modules["ssl"] = None  # pyright: ignore[reportArgumentType] (makes the import fail, see sys.modules)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ  # -I ignores the variable
    here = Path(__file__).resolve().parent
    for name, path in (
        ("node", here.parent.parent),
        ("node.engine", here.parent),
        ("node.engine.builtin", here),
        ("shared", here.parent.parent.parent / "shared"),
    ):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
