"""What a thread does while the database keeps it waiting: answers must not stay in memory because a claim hangs.

Whoever waits for a database calls ``waited`` a few times a second, in the thread that waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from dispatcher.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Deed:
    act: Callable[[], object]
    at: float
    """On the monotonic clock."""


@dataclass
class _Here(threading.local):
    """Of one thread: what it does while it waits."""

    deeds: list[_Deed] = field(default_factory=list)
    busy: bool = False


_here = _Here()


@contextmanager
def meanwhile(act: Callable[[], object], *, after: timedelta) -> Iterator[None]:
    """Have ``act`` called again and again while this block waits for a database, once it has taken so long.

    ``act`` runs in this thread. An error of it is logged, and the waiting goes on.
    """
    _here.deeds.append(_Deed(act, time.monotonic() + after.total_seconds()))
    try:
        yield
    finally:
        _here.deeds.pop()


def waited() -> None:
    """Do what is to be done meanwhile: called while this thread waits for a database."""
    if not _here.deeds or _here.busy:
        return
    now = time.monotonic()
    _here.busy = True
    try:
        for deed in [deed for deed in _here.deeds if now >= deed.at]:
            try:
                deed.act()
            except Exception:  # what waits must not fail for it
                log.exception("meanwhile_failed")
    finally:
        _here.busy = False
