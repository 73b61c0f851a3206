"""Explanation of a failed `./dev up`: the end of a log if there is one, then one line with the reason, a remedy and the
folder of the logs."""

import errno
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress

import asyncpg
import httpx

from tests.launch import registry
from tests.launch.__main__ import UpOptions
from tests.services.folders import Folder
from tests.services.ports import PortError
from tests.services.programs import ProgramError

SPACE = "free some space there, or choose another disk by TMPDIR or --keep DIR"
BUSY = "this machine may be too busy: try again"
RIGHTS = "choose a folder that this user may write, or run as its owner"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
    errno.ENFILE: "this machine has too many open files: end some programs",
    errno.ENOMEM: "free some memory",
    errno.EAGAIN: "this machine or user has too many processes: end some",
}


def print_failure(error: Exception, options: UpOptions) -> None:
    """Print the failure. The traceback of an error that is no fault of the environment goes into a file."""
    causes = list(leaves(error))
    for cause in causes:
        for line in str(cause).splitlines()[1:] if isinstance(cause, ProgramError) else ():
            print(line, file=sys.stderr)
    where = f"; the logs are in {options.logs}" if options.logs.is_dir() else ""
    if any(explained(cause) is None for cause in causes):
        where = f"; the traceback is in {written(error, options)}"
    reasons = dict.fromkeys(explained(cause) or f"a bug of the launcher: {cause!r}" for cause in causes)
    print(f"failed: {'; '.join(reasons)}{where}", file=sys.stderr)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def explained(error: BaseException) -> str | None:
    """Explain a fault of the environment in one line; None for anything else."""
    match error:
        case ProgramError() | PortError():
            summary = str(error).partition("\n")[0]
            return f"{summary}; {SPACE}" if os.strerror(errno.ENOSPC) in summary else summary
        case httpx.HTTPError():
            return f"the master or the broker did not answer ({type(error).__name__}); {BUSY}"
        case asyncpg.PostgresError() | asyncpg.InterfaceError():
            return f"PostgreSQL reported an error: {error}"
        case TimeoutError():
            return f"a part of the cluster did not answer in time; {BUSY}"
        case OSError() if error.errno is not None:
            remedy = REMEDIES.get(error.errno, "see the logs")
            return f"{error.strerror}: {error.filename or 'unknown file'}; {remedy}"
        case _:
            return None


def keep_logs(folder: Folder, port: int) -> None:
    """Copy the logs out of a scratch folder that is about to be removed; the next failure replaces them."""
    kept = registry.logs_of(port)
    with suppress(OSError):  # the disk may be full, and the reason is printed anyway
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder.logs, kept)


def written(error: Exception, options: UpOptions) -> str:
    """Write the traceback to a file and return its path, or a text that explains why there is none."""
    try:
        options.logs.mkdir(parents=True, exist_ok=True)
        path = options.logs / "launcher.log"
        path.write_text("".join(traceback.format_exception(error)))
    except OSError as failure:
        return f"no file, since none can be written ({failure.strerror})"
    return str(path)
