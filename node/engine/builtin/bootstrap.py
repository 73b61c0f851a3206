"""Runs a module of this package without running the packages around it.

Those import what an agent needs; a worker gets along with the standard library, starts in a tenth of the time and
takes half the memory. Of `shared` it takes `permutation` alone, which imports nothing else either. It speaks no TLS and
asyncio does without: loading OpenSSL for it would cost a tenth of the start and of the memory.
Run as `python -I -S bootstrap.py MODULE ARGUMENTS...`.
"""

import runpy
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    sys.modules["ssl"] = None  # pyright: ignore[reportArgumentType] (how an import is made to fail, see sys.modules)
    here = Path(__file__).resolve().parent
    for name, place in (
        ("node", here.parent.parent),
        ("node.engine", here.parent),
        ("node.engine.builtin", here),
        ("shared", here.parent.parent.parent / "shared"),
    ):
        package = ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
