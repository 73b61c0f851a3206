"""Runs a module of this package without importing the packages around it.

Those import what an agent needs. A worker needs only the standard library and a few modules of `shared`; it starts in a
tenth of the time and takes half the memory. Loading OpenSSL would cost another tenth of both, so asyncio, which works
without, does not get it; a worker that is given a certificate loads it then.

Run as `python -I -S bootstrap.py MODULE ARGUMENTS...`.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ  # -I ignores the variable
    sys.modules["ssl"] = None  # pyright: ignore[reportArgumentType] (makes the import fail, see sys.modules)
    importlib.import_module("asyncio")
    del sys.modules["ssl"]
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
