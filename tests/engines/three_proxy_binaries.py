"""The 3proxies that the tests run with."""

import os
import shutil
import traceback
from pathlib import Path

import pytest

from node.engine.three_proxy.readiness import NO_MIXED


def binaries() -> list[Path]:
    """Those that THREE_PROXY names, with colons between them, or else the one on PATH."""
    named = os.environ.get("THREE_PROXY") or shutil.which("3proxy") or ""
    return [Path(each) for each in named.split(os.pathsep) if each]


def skip_where_too_old(error: BaseException) -> None:
    """Skips the test if it failed for the want of mixed proxies."""
    if NO_MIXED in "".join(traceback.format_exception(error)):
        pytest.skip(NO_MIXED)
