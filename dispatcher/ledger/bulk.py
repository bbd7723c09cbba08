"""Durable bulk operations: a frozen query, a cursor, counts. Each step is one transaction, whoever makes it.

The query is frozen at a moment: what changed since does not match any more. So an operation changes a message once,
however often a step is begun, killed and begun again, and one that fails again after its replay is not replayed twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, update

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.errors import OperationNotFound, OperationRefused
from dispatcher.domain.identity import ENTROPY_BITS, uuid7
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.failures import given_up, given_up_of, guarded
from dispatcher.ledger.operations import By, audit, audit_each, queued_again
from dispatcher.ledger.reopening import cancelled, hold, reopen
from dispatcher.ledger.tables import MESSAGES, OPERATIONS

STEP = 500
CANARY_FAILS_ABOVE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A bulk operation as it stands in the ledger."""

    id: UUID
    kind: Deed
    query: str
    frozen_at: datetime
    ids: tuple[str, ...]
    """The messages that were selected; empty: all that match."""
    pace: Pace
    state: Stage
    total: int
    done: int
    skipped: int
    actor: str
    reason: str | None
    note: str | None
    canary: tuple[str, ...] | None
    budget: int
    """Attempts that each message gets afresh."""
    life: timedelta
    cursor: UUID | None
    created_at: datetime
    finished_at: datetime | None


def begin(
    connection: Connection, kind: Deed, query: str, by: By, *, ids: Sequence[UUID], pace: Pace, total: int, **fresh: Any
) -> UUID:
    """Write an operation down; the steps follow."""
    id_ = uuid7(int(by.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS))
    options = {
        "at": None if pace.at is None else pace.at.isoformat(),
        "spread_s": None if pace.spread is None else pace.spread.total_seconds(),
        "per_second": pace.per_second,
        "canary": pace.canary,
        "budget": fresh["budget"],
        "life_s": fresh["life"].total_seconds(),
    }
    frozen = {"query": query, "frozen_at": by.now.isoformat(), "ids": [str(each) for each in ids]}
    connection.execute(
        insert(OPERATIONS).values(
            id=id_,
            kind=kind.value,
            filter=frozen,
            options=options,
            state=Stage.RUNNING.value,
            total=total,
            actor=by.actor,
            reason=by.reason,
            created_at=by.now,
        )
    )
    audit(connection, by, f"{kind.value} many", f"operation:{id_}", query=query, messages=total)
    return id_


def find(connection: Connection, id_: UUID) -> Operation:
    """Return an operation.

    :raises OperationNotFound: there is none.
    """
    row = connection.execute(select(OPERATIONS).where(OPERATIONS.c.id == id_)).one_or_none()
    if row is None:
        raise OperationNotFound(id_)
    return _operation(row)


def listed(connection: Connection, *, limit: int) -> list[Operation]:
    """Return operations, newest first."""
    rows = connection.execute(select(OPERATIONS).order_by(OPERATIONS.c.id.desc()).limit(limit))
    return [_operation(row) for row in rows]


def running(engine: Engine) -> list[UUID]:
    """Return the operations that have something to do."""
    with reading(engine) as connection:
        found = select(OPERATIONS.c.id).where(OPERATIONS.c.state == Stage.RUNNING.value).order_by(OPERATIONS.c.id)
        return list(connection.execute(found).scalars())


def change(connection: Connection, id_: UUID, by: By, *, to: Stage, sources: tuple[Stage, ...]) -> None:
    """Pause, resume or abort an operation at its next step.

    :raises OperationNotFound: there is none.
    :raises OperationRefused: it is over, or stands there already.
    """
    changes: dict[str, Any] = {"state": to.value, "note": by.reason}
    if to.over:
        changes["finished_at"] = by.now
    changed = connection.execute(
        update(OPERATIONS)
        .where(OPERATIONS.c.id == id_, OPERATIONS.c.state.in_([source.value for source in sources]))
        .values(changes)
        .returning(OPERATIONS.c.id)
    ).scalar()
    if changed is None:
        raise OperationRefused(id_, find(connection, id_).state.value, to.value)
    audit(connection, by, f"{to.value} operation", f"operation:{id_}")


def outcomes(connection: Connection, id_: UUID) -> dict[State, int]:
    """Count what became of the messages that an operation queued again."""
    rows = connection.execute(
        select(MESSAGES.c.state, func.count().label("messages"))
        .where(MESSAGES.c.operation_id == id_)
        .group_by(MESSAGES.c.state)
    )
    return {State(row.state): row.messages for row in rows}


def step(engine: Engine, id_: UUID, *, now: datetime) -> int:
    """Change the next messages of an operation, if it may go on, and return how many."""
    with transaction(engine) as connection:
        row = connection.execute(
            select(OPERATIONS)
            .where(OPERATIONS.c.id == id_, OPERATIONS.c.state == Stage.RUNNING.value)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None:
            return 0
        operation = _operation(row)
        if operation.canary is not None and not _canary_passed(connection, operation, now):
            return 0
        seen = operation.done + operation.skipped
        allowed = operation.pace.allowed(operation.total, began=operation.created_at, now=now) - seen
        first = operation.pace.canary if seen == 0 and operation.pace.canary and operation.kind is Deed.REPLAY else 0
        count = min(STEP, allowed, first or STEP)
        if count <= 0 and seen < operation.total:
            return 0
        return _change(connection, operation, max(1, count), canary=bool(first), now=now)


def _change(connection: Connection, operation: Operation, count: int, *, canary: bool, now: datetime) -> int:
    chosen = frozen_conditions(operation, connection.dialect.name)
    if operation.cursor is not None:
        chosen.append(MESSAGES.c.id > operation.cursor)
    found = connection.execute(
        select(MESSAGES.c.id, MESSAGES.c.campaign_id).where(*chosen).order_by(MESSAGES.c.id).limit(count)
    ).all()
    ids = [row.id for row in found]
    campaigns = {row.campaign_id for row in found if row.campaign_id is not None}
    if campaigns and operation.kind is Deed.REPLAY:
        hold(connection, campaigns)  # what is cancelled by now stays so
    changed = _apply(connection, operation, ids, now) if ids else []
    if changed and campaigns and operation.kind is Deed.REPLAY:
        reopen(connection, campaigns)
    if changed:
        by = By(actor=operation.actor, reason=operation.reason, now=now)
        audit_each(connection, by, operation.kind.value, changed, operation=str(operation.id))
    over = len(ids) < count
    values: dict[str, Any] = {
        "cursor": str(ids[-1]) if ids else OPERATIONS.c.cursor,
        "done": OPERATIONS.c.done + len(changed),
        "skipped": OPERATIONS.c.skipped + len(ids) - len(changed),
    }
    if canary and changed and not over:
        values["canary"] = [str(each) for each in changed]
    if over:
        values |= {"state": Stage.DONE.value, "finished_at": now}
    connection.execute(update(OPERATIONS).where(OPERATIONS.c.id == operation.id).values(values))
    return len(changed)


def frozen_conditions(operation: Operation, dialect: str) -> list[ColumnElement[bool]]:
    """Return what must hold of the messages that an operation still has to change."""
    query = parse_query(operation.query, now=operation.frozen_at)
    chosen = [
        *given_up_of(query, dialect),
        MESSAGES.c.updated_at <= operation.frozen_at,
        ~guarded(),
    ]
    if operation.ids:
        chosen.append(MESSAGES.c.id.in_([UUID(each) for each in operation.ids]))
    if operation.kind is Deed.REPLAY:
        chosen += [~cancelled(), MESSAGES.c.redacted_at.is_(None)]
    return chosen


def _apply(connection: Connection, operation: Operation, ids: list[UUID], now: datetime) -> list[UUID]:
    changes: dict[str, Any] = {"updated_at": now, "operation_id": operation.id}
    if operation.kind is Deed.REPLAY:
        changes |= queued_again(now, budget=operation.budget, life=operation.life, trigger=Trigger.REPLAY)
    else:
        changes |= {"discarded_at": now}
    still = [MESSAGES.c.id.in_(ids), given_up(), ~guarded()]
    if operation.kind is Deed.REPLAY:
        still += [MESSAGES.c.redacted_at.is_(None), ~cancelled()]  # by now; it was so when they were chosen
    changed = update(MESSAGES).where(*still).values(changes)
    return list(connection.execute(changed.returning(MESSAGES.c.id)).scalars())


def _canary_passed(connection: Connection, operation: Operation, now: datetime) -> bool:
    """Say whether what went first has come to something; too many that failed again stop the operation."""
    ids = [UUID(each) for each in operation.canary or ()]
    rows = connection.execute(select(MESSAGES.c.state).where(MESSAGES.c.id.in_(ids))).scalars().all()
    states = [State(each) for each in rows]
    failed = sum(state in (State.DEAD, State.EXPIRED, State.IN_DOUBT) for state in states)
    if failed > CANARY_FAILS_ABOVE * len(ids):
        note = f"stopped by its canary: {failed} of the first {len(ids)} failed again"
        stopped = {"state": Stage.STOPPED.value, "note": note, "finished_at": now}
        connection.execute(update(OPERATIONS).where(OPERATIONS.c.id == operation.id).values(stopped))
        audit(connection, By(actor="dispatcher", reason=note, now=now), "stop operation", f"operation:{operation.id}")
        return False
    if any(not state.settled for state in states):
        return False
    connection.execute(update(OPERATIONS).where(OPERATIONS.c.id == operation.id).values(canary=None))
    return True


def _operation(row: Any) -> Operation:
    options, frozen = row.options or {}, row.filter
    pace = Pace(
        at=None if options.get("at") is None else datetime.fromisoformat(options["at"]),
        spread=None if options.get("spread_s") is None else timedelta(seconds=options["spread_s"]),
        per_second=options.get("per_second"),
        canary=options.get("canary") or 0,
    )
    return Operation(
        id=row.id,
        kind=Deed(row.kind),
        query=frozen["query"],
        frozen_at=datetime.fromisoformat(frozen["frozen_at"]),
        ids=tuple(frozen.get("ids") or ()),
        pace=pace,
        state=Stage(row.state),
        total=row.total,
        done=row.done,
        skipped=row.skipped,
        actor=row.actor,
        reason=row.reason,
        note=row.note,
        canary=None if row.canary is None else tuple(row.canary),
        budget=options.get("budget", 5),
        life=timedelta(seconds=options.get("life_s", 72 * 3600)),
        cursor=None if row.cursor is None else UUID(row.cursor),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
