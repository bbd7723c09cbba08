"""The files of a spool: their names, their first line, how they are locked and written. No answer is read here."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from dispatcher.private_files import make_folder, opener

WAITING = ".jsonl"
QUARANTINE = ".refused"
_WRITE_TEST = 64 * 1024
"""Bytes: some hundred answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolCounts:
    """What lies in the spools of this host, of all ledgers."""

    waiting: int
    """Answers that wait for their ledger."""
    quarantined: int
    """Answers and damaged lines that need a person."""


def count(root: Path) -> SpoolCounts:
    """Count what lies in the spools of this host; what cannot be read counts as nothing."""
    return SpoolCounts(waiting=_count(root, WAITING), quarantined=_count(root, QUARANTINE))


def check_writable(root: Path) -> None:
    """Write a file into the spools' folder, wait for the disk, and remove it, and the folder if there was none.

    :raises OSError: an answer could not be kept there now.
    """
    existed = root.exists()
    make_folder(root)
    path = root / f".write-test-{os.getpid()}"
    try:
        with open(path, "wb", buffering=0, opener=opener) as file:
            write_all(file, bytes(_WRITE_TEST))
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
        if not existed:
            with suppress(OSError):  # somebody else writes there by now
                root.rmdir()


def _count(root: Path, kind: str) -> int:
    total = 0
    for path in root.rglob(f"*{kind}") if root.is_dir() else ():
        with suppress(OSError):
            lines = path.read_bytes().split(b"\n")
            total += sum(1 for line in lines if line and ledger_in(line) is None)
    return total


def first_line(ledger: UUID) -> bytes:
    """Return the line that each file begins with."""
    return json.dumps({"ledger": str(ledger)}).encode() + b"\n"


def ledger_in(line: bytes) -> UUID | None:
    """Return the ledger that a file's first line names; None if the line is another one."""
    if not line.startswith(b'{"ledger"'):
        return None
    try:
        return UUID(json.loads(line)["ledger"])
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


@contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file to append to it, alone; again if another process settled and removed it while we waited."""
    while True:
        with open(path, "a+b", buffering=0, opener=opener) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_still(path, file):
                yield file
                return


def is_still(path: Path, file: BinaryIO) -> bool:
    """Whether a path leads to the file that was opened there."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def end_of_torn_line(file: BinaryIO, size: int) -> bytes:
    """Return what ends the last line of a file if a crash cut it off: it must not swallow the next one."""
    return b"" if os.pread(file.fileno(), 1, size - 1) == b"\n" else b"\n"


def write_all(file: BinaryIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file.fileno(), left) :]


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
