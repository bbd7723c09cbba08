"""Whether files that hold secrets, numbers and texts are for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dispatcher.cli.checkup import Walk, warning
from dispatcher.ledger import sqlite_file
from dispatcher.private_files import beside_sqlite, tighten, tighten_home
from dispatcher.settings import secret_files

_SHOWN = 5


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


def look_at_home(walk: Walk) -> str:
    """Say whether HOME and the ledger are for their owner alone. Names what is not, and closes it if it can be."""
    home = walk.services.settings.home
    found, left = tighten_home(home)
    ledger = sqlite_file(walk.services.settings.ledger)
    if ledger is not None:
        elsewhere = list(beside_sqlite(ledger))
        found += elsewhere
        left += [path for path in elsewhere if not tighten(path)]
    if left:
        raise warning(
            f"other users of this host may read or enter {_named(left)}",
            "give dispatcher a folder of its own as DISPATCHER_HOME, or run chmod -R go= on what is named",
        )
    if found:
        raise warning(
            f"other users of this host could read or enter {_named(found)} until now; only its owner can from now on",
            "nothing, unless somebody may have read numbers and texts there",
        )
    return f"{home} is for its owner alone" if home.is_dir() else f"{home} does not exist yet"


def _named(paths: list[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"


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
