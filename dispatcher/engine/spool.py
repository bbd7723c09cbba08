"""Answers that the ledger could not take, on disk until it can: appended, fsynced, settled again after it is back.

Settling is a compare-and-set on the lease and an attempt's id is fixed here, so settling twice changes nothing. A file
belongs to the process that holds its lock; what a dead process left is taken over by the next one that looks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from dispatcher.domain.attempt import Settlement
from dispatcher.logs import get_logger
from dispatcher.private_files import make_folder, opener

log = get_logger(__name__)

_FORM = TypeAdapter(Settlement)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Spool:
    """The spool folder of this host, as one process sees it."""

    folder: Path
    owner: str

    def append(self, batch: Sequence[Settlement]) -> None:
        """Write settlements and wait until the disk has them."""
        make_folder(self.folder)
        with _locked(self._own) as file:
            file.write(b"".join(_FORM.dump_json(each) + b"\n" for each in batch))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self.folder)

    def set_aside(self, each: Settlement) -> None:
        """Keep a settlement that the ledger will never take where no pump stumbles over it again."""
        self._keep(_FORM.dump_json(each))

    def batches(self) -> Iterator[list[Settlement]]:
        """Yield what is spooled, this process's and what dead ones left; a file goes once all of it was settled."""
        for path in sorted(self.folder.glob("*.jsonl")) if self.folder.is_dir() else ():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # another process has just settled it
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # another process is settling it
                if not path.exists():
                    continue  # it did, in the meantime
                spooled, unreadable = _read(file.read())
                for start in range(0, len(spooled), _BATCH):
                    yield spooled[start : start + _BATCH]
                for line, reason in unreadable:
                    self._keep(line)
                    log.error("spool_line_unreadable", file=path.name, reason=reason)
                path.unlink(missing_ok=True)
                log.info("spool_settled", attempts=len(spooled), file=path.name)

    def _keep(self, line: bytes) -> None:
        with _locked(self._own.with_suffix(".refused")) as file:
            file.write(line + b"\n")

    @property
    def waiting(self) -> bool:
        """Whether anything is spooled on this host."""
        return self.folder.is_dir() and any(self.folder.glob("*.jsonl"))

    @property
    def _own(self) -> Path:
        return self.folder / f"{self.owner.replace('/', '_').replace(':', '-')}.jsonl"


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file to append to it, alone; again if another process settled and removed it while we waited."""
    while True:
        with open(path, "ab", opener=opener) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return


def _read(content: bytes) -> tuple[list[Settlement], list[tuple[bytes, str]]]:
    """Return the settlements of a spool, and what is none with the reason.

    That is a write which a crash cut off, on which nobody counted, or a damaged disk: evidence for a person.
    """
    spooled, unreadable = [], []
    for line in content.splitlines():
        try:
            spooled.append(_FORM.validate_json(line))
        except ValidationError as error:
            first, *_ = error.errors(include_input=False, include_url=False)
            unreadable.append((line, first["msg"]))
    return spooled, unreadable


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
