"""Answers that the ledger could not take, on disk until it can: appended, fsynced, settled again after it is back.

Settling is a compare-and-set on the lease and an attempt's id is fixed here, so settling twice changes nothing. A file
belongs to the process that holds its lock; what a dead process left is taken over by the next one that looks.

Each ledger has a folder of its own, named after the ledger's id, and the first line of each file repeats that id: two
ledgers may share one home, and neither takes or removes the other's answers.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from dispatcher.domain.attempt import Settlement
from dispatcher.logs import get_logger
from dispatcher.private_files import make_folder, opener
from dispatcher.spool_files import (
    QUARANTINE,
    WAITING,
    end_of_torn_line,
    first_line,
    is_still,
    ledger_in,
    locked,
    sync_folder,
    write_all,
)

log = get_logger(__name__)

_FORM = TypeAdapter(Settlement)
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """What lay in the spool and the ledger will not take as it is."""

    reason: str
    answer: Settlement | None = None
    line: str | None = None
    """Of a line that is no answer: what it says."""


Settle = Callable[[Sequence[Settlement]], Iterable[Quarantined]]
"""Settles answers and returns those that the ledger refuses; raises if the ledger cannot be used now."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The spool of one ledger on this host, as one process sees it."""

    root: Path
    """The folder of all spools of this host."""
    owner: str
    identity: Callable[[], UUID]
    """Returns the id of the ledger whose answers these are; known since the process first claimed."""

    def append(self, batch: Sequence[Settlement]) -> None:
        """Write settlements and wait until the disk has them.

        :raises OSError: it does not have them; what was written of them is taken back.
        """
        self._write(WAITING, [_FORM.dump_json(each) for each in batch])

    def quarantine(self, found: Iterable[Quarantined]) -> None:
        """Keep what the ledger does not take where no pump stumbles over it again.

        :raises OSError: as for ``append``.
        """
        self._write(QUARANTINE, [_as_line(each) for each in found])

    def drain(self, settle: Settle) -> None:
        """Settle what is spooled, this process's and what dead ones left; a file goes once all of it was settled."""
        for path, file in self._files(WAITING, wait=False):
            try:
                self._drain(path, file, settle)
            except OSError as error:  # the answers stay where they are; other files may be well
                log.error("spool_failed", file=path.name, reason=str(error))

    def retry(self, settle: Settle) -> tuple[int, list[Quarantined]]:
        """Settle what is quarantined once more.

        :return: how many answers the ledger took, and what stays quarantined.
        :raises OSError: a file cannot be written; nothing of it is lost.
        """
        taken, left = 0, []
        for path, file in self._files(QUARANTINE, wait=True):
            lines = self._lines(path, file)
            if lines is None:
                continue
            found = _without_repeats(_as_quarantined(line) for line in lines)
            answers = [each.answer for each in found if each.answer is not None]
            still = [each for each in found if each.answer is None]
            for answer in answers:
                still += settle([answer])
            self._replace(path, [_as_line(each) for each in still])
            taken += len(found) - len(still)
            left += still
        return taken, left

    def quarantined(self) -> list[Quarantined]:
        """Return what is quarantined."""
        found: list[Quarantined] = []
        for path, file in self._files(QUARANTINE, wait=True):
            found += _without_repeats(_as_quarantined(line) for line in self._lines(path, file) or ())
        return found

    @property
    def waiting(self) -> bool:
        """Whether anything is spooled on this host for this ledger."""
        return self.folder.is_dir() and any(self.folder.glob(f"*{WAITING}"))

    @property
    def folder(self) -> Path:
        """Where this ledger's answers are."""
        return self.root / str(self.identity())

    def _drain(self, path: Path, file: BinaryIO, settle: Settle) -> None:
        lines = self._lines(path, file)
        if lines is None:
            return
        spooled, refused = _read(lines)
        for each in refused:
            log.error("spool_line_unreadable", file=path.name, reason=each.reason)
        for start in range(0, len(spooled), _BATCH):
            refused += settle(spooled[start : start + _BATCH])
        if refused:
            self.quarantine(refused)
        path.unlink(missing_ok=True)
        log.info("spool_settled", attempts=len(spooled), file=path.name)

    def _files(self, kind: str, *, wait: bool) -> Iterator[tuple[Path, BinaryIO]]:
        """Yield each file, locked; without ``wait`` those aside that another process has."""
        folder = self.folder
        for path in sorted(folder.glob(f"*{kind}")) if folder.is_dir() else ():
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                    if is_still(path, file):
                        yield path, file
            except (FileNotFoundError, BlockingIOError):
                continue  # another process has just settled it, or is doing so
            except OSError as error:
                log.error("spool_failed", file=path.name, reason=str(error))

    def _lines(self, path: Path, file: BinaryIO) -> list[bytes] | None:
        """Return the lines after the first, which names the ledger; None if it names another one."""
        lines = file.read().split(b"\n")
        named = ledger_in(lines[0])
        if named is not None and named != self.identity():
            log.error("spool_of_another_ledger", file=path.name, ledger=str(named))
            return None
        return [line for line in lines[0 if named is None else 1 :] if line]

    def _write(self, kind: str, lines: list[bytes]) -> None:
        folder = self.folder
        is_new = not folder.is_dir()
        make_folder(folder)
        path = folder / f"{self.owner.replace('/', '_').replace(':', '-')}{kind}"
        with locked(path) as file:
            size = os.fstat(file.fileno()).st_size
            begin = first_line(self.identity()) if size == 0 else end_of_torn_line(file, size)
            try:
                write_all(file, begin + b"".join(line + b"\n" for line in lines))
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                    if size == 0:
                        path.unlink()
                raise
        sync_folder(folder)
        if is_new:
            sync_folder(self.root)

    def _replace(self, path: Path, lines: list[bytes]) -> None:
        """Put other lines into a file whose lock this process holds, at once."""
        if not lines:
            path.unlink(missing_ok=True)
            return
        new = path.with_suffix(".new")
        with open(new, "wb", buffering=0, opener=opener) as file:
            write_all(file, first_line(self.identity()) + b"".join(line + b"\n" for line in lines))
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)


def _read(lines: Iterable[bytes]) -> tuple[list[Settlement], list[Quarantined]]:
    """Return the settlements of a spool, and what is none with the reason.

    That is a write which a crash cut off, on which nobody counted, or a damaged disk: evidence for a person.
    """
    spooled, unreadable = [], []
    for line in lines:
        try:
            spooled.append(_FORM.validate_json(line))
        except ValidationError as error:
            unreadable.append(Quarantined(reason=_reason(error), line=line.decode("utf-8", "backslashreplace")))
    return spooled, unreadable


def _as_line(each: Quarantined) -> bytes:
    if each.answer is None:
        return json.dumps({"reason": each.reason, "line": each.line}).encode()
    return json.dumps({"reason": each.reason, "answer": json.loads(_FORM.dump_json(each.answer))}).encode()


def _as_quarantined(line: bytes) -> Quarantined:
    try:
        found = json.loads(line)
        reason = str(found["reason"])
        if "answer" not in found:
            return Quarantined(reason=reason, line=str(found["line"]))
        return Quarantined(reason=reason, answer=_FORM.validate_json(json.dumps(found["answer"])))
    except ValidationError as invalid:
        return Quarantined(reason=_reason(invalid), line=line.decode("utf-8", "backslashreplace"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Quarantined(reason="it is not a quarantined answer", line=line.decode("utf-8", "backslashreplace"))


def _without_repeats(found: Iterable[Quarantined]) -> list[Quarantined]:
    """Drop what is there twice: a process died between a quarantine and the removal of the file it came from."""
    return list({each.answer.attempt_id if each.answer else each.line: each for each in found}.values())


def _reason(error: ValidationError) -> str:
    first, *_ = error.errors(include_input=False, include_url=False)
    return str(first["msg"])
