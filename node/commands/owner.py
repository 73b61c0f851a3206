"""Root acts as the owner of a data directory: files of a less privileged user are read with that user's rights."""

import os

from node.data_directory import DataDirectory
from node.errors import NodeError


def act_as_owner(files: DataDirectory) -> None:
    """Give up root's rights for good, unless the directory is root's own. Raises NodeError."""
    if os.geteuid() != 0:
        return
    try:
        found = files.data_dir.stat()
        if found.st_uid == 0:
            return
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NodeError(
            f"cannot act as the owner of {files.data_dir} ({reason}); run the command as that user"
        ) from error
