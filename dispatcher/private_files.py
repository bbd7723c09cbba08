"""Files and folders for their owner alone: 0600 and 0700. The ledger, the spool and exports hold numbers and texts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER = 0o700
FILE = 0o600
_OTHERS = 0o077
_MOST_LOOKED_AT = 10_000
_BESIDE_SQLITE = ("", "-wal", "-shm", "-journal")
_LEDGER = "ledger.db"
_FOLDERS = frozenset({"demo", "logs", "spool", "uploads", "valkey"})
"""What dispatcher keeps in HOME, beside files."""


def opener(path: str, flags: int) -> int:
    """Open a file for its owner alone, made so if it is new or was open to others: ``open(…, opener=opener)``.

    A device or a pipe, and a file that belongs to somebody else, is left as it is.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
        os.fchmod(descriptor, FILE)
    return descriptor


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that do not exist, for their owner alone.

    :raises OSError: one of them cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=FOLDER, exist_ok=True)


def prepare_sqlite(file: Path) -> None:
    """Make the file of a SQLite ledger, or take others' rights to it away; SQLite's files beside it get the same.

    :raises OSError: its folder cannot be made.
    """
    make_folder(file.parent)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE))
    except OSError:
        return  # SQLite says what is wrong, and may still read it
    for end in _BESIDE_SQLITE:
        tighten(file.with_name(file.name + end))


def beside_sqlite(file: Path) -> Iterator[Path]:
    """Yield the files of a SQLite ledger that are open to others."""
    for end in _BESIDE_SQLITE:
        path = file.with_name(file.name + end)
        if is_loose(path):
            yield path


def loose(home: Path) -> list[Path]:
    """Return what is open to others: HOME, and what dispatcher keeps in it. Links are not followed."""
    found, own = [home] if is_loose(home) else [], is_own(home)
    for entry in _entries(home):
        if own or entry.name in _FOLDERS or entry.name.startswith(_LEDGER):
            found += [Path(entry.path)] if is_loose(Path(entry.path)) else []
            found += _loose_below(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else []
    return found


def is_own(home: Path) -> bool:
    """Return whether HOME is a folder of dispatcher's own, so that its rights are ours to set.

    A user's home directory, or ``/tmp``, is not: it has hidden files, other folders or other users' files.
    """
    try:
        found = home.stat()
    except OSError:
        return False
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:
        return False
    for entry in _entries(home):
        foreign_folder = entry.is_dir(follow_symlinks=False) and entry.name not in _FOLDERS
        if foreign_folder or entry.name.startswith(".") or entry.stat(follow_symlinks=False).st_uid != found.st_uid:
            return False
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _loose_below(folder: Path) -> Iterator[Path]:
    looked_at = 0
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            looked_at += 1
            if is_loose(Path(path, name)):
                yield Path(path, name)
        if looked_at > _MOST_LOOKED_AT:
            return


def is_loose(path: Path) -> bool:
    """Return whether others than its owner have rights to a file or folder. Sockets and links do not count."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and bool(mode & _OTHERS)


def tighten(path: Path) -> bool:
    """Take the rights of others to a file or folder away. Returns whether nobody else has any now.

    It fails for what belongs to another user, and on file systems without permissions.
    """
    if not is_loose(path):
        return True
    try:
        path.chmod(FOLDER if path.is_dir() else FILE)
    except OSError:
        return False
    return not is_loose(path)


def tighten_home(home: Path) -> tuple[list[Path], list[Path]]:
    """Take the rights of others away from HOME, if it is dispatcher's own, and from what dispatcher keeps in it.

    :return: what was open to others, and what still is.
    """
    found, own = loose(home), is_own(home)
    return found, [path for path in found if (path == home and not own) or not tighten(path)]
