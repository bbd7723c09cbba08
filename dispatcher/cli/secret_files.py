"""Whether files that hold secrets are for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dispatcher.cli.checkup import Walk, warning
from dispatcher.settings import secret_files


def look(_walk: Walk) -> str:
    """Say how many secrets come from files, and warn of files that every user of this host may read or write."""
    files = secret_files()
    open_to_all = [f"{name} ({path})" for name, path in files.items() if is_open_to_all(path)]
    if open_to_all:
        raise warning(
            f"every user of this host may read or write {', '.join(open_to_all)}",
            "chmod o-rw these files, or keep them in a folder that only their user may enter",
        )
    return f"{len(files)} in use, none of them open to everybody" if files else "none in use"


def is_open_to_all(path: Path) -> bool:
    """Say whether everybody on the host may read or write a file and can get to it.

    What is mounted for a container by itself, file or folder, is not for the host's users, whatever its mode says.
    """
    try:
        mode = path.stat().st_mode
        reached = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
    except OSError:
        return False  # reading it then fails too, and says so
    mounted = os.path.ismount(path) or (path.parent != Path("/") and path.parent.is_mount())
    return bool(mode & (stat.S_IROTH | stat.S_IWOTH)) and reached and not mounted
