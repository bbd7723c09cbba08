"""Named crash points: a child process does real work and dies exactly there, by SIGKILL, with no chance to clean up.

Nothing of this is in the product. The engine's seams are its ports, so a point is put around a port, between the
statements of a transaction, or at the place where a request leaves.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Engine, event

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.engine import spool
from dispatcher.gateway import aio_line, aiohttp_transport, requests_transport, wire
from dispatcher.wiring import Services


class CrashPoint(StrEnum):
    """Where a process dies. The values are how the table of guarantees tells it."""

    IN_ENQUEUE = "an application, before its COMMIT"
    AFTER_ENQUEUE = "an application, after its COMMIT and before the bell"
    WHILE_MINTING = "a worker, while it asks for a token and holds the lock"
    AFTER_MINTING = "a worker, with a new token that it has not shared yet"
    BEFORE_CLAIM = "a worker, with permits and token, before the claim"
    IN_CLAIM = "a worker, in the claim's transaction"
    AFTER_CLAIM = "a worker, after the claim's COMMIT and before the request"
    BEFORE_FIRST_BYTE = "a worker, connected, before the first byte"
    NOT_ARRIVED = "a worker, after the bytes left; the API did not carry it out"
    AFTER_BYTES_LEFT = "a worker, after the bytes left; the API carried it out"
    AFTER_ANSWER = "a worker, with the answer read, before it is settled"
    IN_SETTLE = "a worker, in the settlement's transaction"
    AFTER_SETTLE = "a worker, after the settlement's COMMIT and before the broker hears of it"
    IN_SPOOL = "a worker whose ledger is away, while it writes the answer to the spool"
    AFTER_SPOOL = "a worker whose ledger is away, with the answer on disk"
    IN_SPOOL_DRAIN = "a worker, after spooled answers were settled and before their file is gone"
    IN_SWEEP = "a clock, with lost leases found and not yet settled"
    AFTER_SWEEP = "a clock, after it took lost leases back"
    IN_EXPIRY = "a clock, in the transaction that gives up what is too late"
    IN_REPLAY_STEP = "a clock, in a step of a bulk replay"
    AFTER_REPLAY_STEP = "a clock, after a step of a bulk replay"
    IN_INTAKE_PAGE = "an intake, in a page of recipients"
    AFTER_INTAKE_PAGE = "an intake, after a page's COMMIT"


def die() -> NoReturn:
    """End here, at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the signal is on its way
    raise AssertionError("unreachable")


def dies(work: Callable[[], object]) -> None:
    """Do some work in a forked child, and see that it died on the way: a point that is never reached proves nothing."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the work was done to its end: the crash point was never reached"
    assert os.WTERMSIG(status) == signal.SIGKILL


def crash_in_transaction(engine: Engine, *, touching: str, statement: int = 1, committed: bool = False) -> None:
    """Die with a transaction that writes a table: when it is about to commit, or when it just has.

    :param touching: the beginning of the statement that makes the transaction the one, e.g. ``UPDATE dispatcher_x``.
    :param statement: which such transaction, counted from 1.
    """
    seen = 0
    ours = False

    @event.listens_for(engine, "before_cursor_execute")
    def _look(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        nonlocal ours, seen
        if touching in sql and not ours:
            seen += 1
            ours = seen == statement

    if not committed:

        @event.listens_for(engine, "commit")
        def _about_to(_connection: Any) -> None:
            if ours:
                die()

        return

    @event.listens_for(engine, "checkin")
    def _has(_connection: Any, _record: Any) -> None:
        if ours:
            die()


class Dying:
    """A port that dies before or after one of its calls, once that call has something in hand."""

    def __init__(self, port: Any, call: str, *, after: bool) -> None:
        self._port, self._call, self._after = port, call, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name != self._call:
            return found

        def dying(*args: Any, **kwargs: Any) -> Any:
            if not self._after:
                die()
            result = found(*args, **kwargs)
            if result:
                die()
            return result

        return dying


class GoneAfterClaim:
    """A ledger that is away when answers come."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def settle(self, _: object) -> NoReturn:
        """Be away."""
        raise LedgerUnavailable("it is away for this test")


def _torn(file: int) -> NoReturn:
    """Leave half of what was written, as a power cut before the fsync may, and die."""
    os.ftruncate(file, os.fstat(file).st_size // 2)
    die()


def arm(services: Services, point: CrashPoint) -> None:
    """Have a worker's or a clock's services die at a point. For a child process: it changes modules as well."""
    _ARMING[point](services)


def _put(target: Any, name: str, value: Any) -> None:
    """Change a module, a class or a frozen value of this child process."""
    (type.__setattr__ if isinstance(target, type) else object.__setattr__)(target, name, value)


def _in_mint(services: Services) -> None:
    _put(services.tokens._minting, "mint", die)


def _after_mint(services: Services) -> None:
    minting = services.tokens._minting
    _put(minting, "store", Dying(minting.store, "keep", after=False))


def _around(port: str, call: str, *, after: bool) -> Callable[[Services], None]:
    def put(services: Services) -> None:
        services.__dict__[port] = Dying(getattr(services, port), call, after=after)

    return put


def _between(touching: str, *, committed: bool = False) -> Callable[[Services], None]:
    return lambda services: crash_in_transaction(services.engine, touching=touching, committed=committed)


def _before_first_byte(_: Services) -> None:
    for call in (wire.Wire, aio_line.Call):
        _put(call, "leave", lambda *_: die())


def _after_answer(_: Services) -> None:
    for transport in (requests_transport, aiohttp_transport):
        _put(transport, "outcome_of", lambda *_, **__: die())


def _in_spool(services: Services) -> None:
    services.__dict__["ledger"] = GoneAfterClaim(services.ledger)
    _put(os, "fsync", _torn)


def _after_spool(services: Services) -> None:
    services.__dict__["ledger"] = GoneAfterClaim(services.ledger)
    _put(spool, "sync_folder", lambda _: die())


def _in_drain(_: Services) -> None:
    _put(Path, "unlink", lambda *_, **__: die())


_SETTLING, _STEPPING = "doubtful_sends = ", "UPDATE dispatcher_operations"
_ARMING: dict[CrashPoint, Callable[[Services], None]] = {
    CrashPoint.WHILE_MINTING: _in_mint,
    CrashPoint.AFTER_MINTING: _after_mint,
    CrashPoint.BEFORE_CLAIM: _around("ledger", "claim", after=False),
    CrashPoint.IN_CLAIM: _between("lease_token=CASE"),
    CrashPoint.AFTER_CLAIM: _around("transport", "start", after=False),
    CrashPoint.BEFORE_FIRST_BYTE: _before_first_byte,
    CrashPoint.AFTER_ANSWER: _after_answer,
    CrashPoint.IN_SETTLE: _between(_SETTLING),
    CrashPoint.AFTER_SETTLE: _between(_SETTLING, committed=True),
    CrashPoint.IN_SPOOL: _in_spool,
    CrashPoint.AFTER_SPOOL: _after_spool,
    CrashPoint.IN_SPOOL_DRAIN: _in_drain,
    CrashPoint.IN_SWEEP: _around("ledger", "lost_leases", after=True),
    CrashPoint.AFTER_SWEEP: _around("ledger", "settle", after=True),
    CrashPoint.IN_EXPIRY: _between("failure="),
    CrashPoint.IN_REPLAY_STEP: _between(_STEPPING),
    CrashPoint.AFTER_REPLAY_STEP: _between(_STEPPING, committed=True),
}
