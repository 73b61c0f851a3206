"""Installation of missing programs by the system's package manager, through `./dev install`."""

from collections.abc import Callable
from pathlib import Path

from tests.launch.patience import patience
from tests.services.commands import run
from tests.services.programs import ProgramError, telling_line

LAUNCHER = Path(__file__).parents[2] / "dev"
INSTALL_S = 1800.0


async def install(program: str, report: Callable[[str], None]) -> None:
    """Install a program, named as for `./dev install`. Raises ProgramError."""
    report(f"{program} is missing: installing it by the system's package manager")
    async with patience(f"installing {program}", report):
        done = await run("/bin/sh", str(LAUNCHER), "install", program, limit_s=INSTALL_S)
    if done.code != 0:
        raise ProgramError(f"{program} is missing and could not be installed: {telling_line(done.output)}")
