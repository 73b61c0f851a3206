"""The 3proxy programs that the tests run."""

import os
import shutil
import traceback
from pathlib import Path

import pytest

from node.engine.three_proxy.readiness import NO_MIXED


def binaries() -> list[Path]:
    """The programs named by THREE_PROXY, separated by colons, or else the one on PATH."""
    named = os.environ.get("THREE_PROXY") or shutil.which("3proxy") or ""
    return [Path(each) for each in named.split(os.pathsep) if each]


def skip_where_too_old(error: BaseException) -> None:
    """Skip the test if it failed because mixed proxies are missing."""
    if NO_MIXED in "".join(traceback.format_exception(error)):
        pytest.skip(NO_MIXED)
