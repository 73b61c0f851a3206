"""Downloads the wheels of the locked libraries by pip, from whichever registry pip is configured for."""

import subprocess
import sys
from pathlib import Path

from master.distribution.bundles.platforms import Platform
from master.errors import BundleError

DOWNLOAD_S = 1200


def download(lock: Path, platform: Platform, folder: Path) -> None:
    """Download into a folder. Raises BundleError with pip's reason."""
    try:
        done = subprocess.run(  # noqa: S603 (arguments of our own)
            [sys.executable, "-m", "pip", *arguments(lock, platform, folder)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{platform}: pip did not end within {DOWNLOAD_S} s") from error
    if done.returncode != 0:
        raise BundleError(f"{platform}: {reason(done.stderr)}")


def arguments(lock: Path, platform: Platform, folder: Path) -> list[str]:
    """Return pip's arguments. pip refuses a file whose hash is not in the lock file."""
    systems = [f"--platform={name}" for name in platform.systems() if name != "any"]
    return [
        "download",
        *("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", f"--python-version={platform.python}", "--implementation=cp"),
        *(f"--abi={abi}" for abi in (platform.interpreter, "abi3", "none")),
        *systems,
        *("--dest", str(folder), "--requirement", str(lock)),
    ]


def reason(stderr: str) -> str:
    """Return the last error of pip's output."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    if "No module named pip" in stderr:
        return f"{sys.executable} has no pip; install it, or give the wheels by --wheels"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip failed without a word"])[-1][:500]
