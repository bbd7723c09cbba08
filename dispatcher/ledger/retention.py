"""Old and settled messages lose their content, and go at last: in short transactions, while traffic runs.

A message's id begins with the moment when it was made, so what can be old enough is a range of the primary key. It is
walked in bounded pages that only read; what they find is locked where nobody else has it locked, looked at once more
and changed. So a step may be killed, repeated or made twice at once, and nobody waits for it longer than it takes.

What is queued, under way or in doubt is never touched. A gift that was given up and may have been carried out is
redacted, and never removed: without its row and its guard, its key would pay a second time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)

from dispatcher.domain.identity import uuid7
from dispatcher.domain.retention import Act
from dispatcher.domain.state import State
from dispatcher.ledger.failures import PSEUDONYM, guarded
from dispatcher.ledger.operations import EDITED
from dispatcher.ledger.tables import ATTEMPTS, AUDIT, CAMPAIGNS, MESSAGES
from dispatcher.ledger.types import Json

PAGE = 10_000
"""Rows that one look reads at the most."""
_MARGIN = timedelta(hours=1)
"""The machine that made an id may have had another time than the ledger's."""
_CARRIED_OUT = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)
_AT_REST = (*_CARRIED_OUT, State.DEAD, State.EXPIRED, State.CANCELLED, State.SUPPRESSED)
"""Settled and not in doubt."""
_ANSWERED = (*_CARRIED_OUT, State.DEAD)
"""Their ``last_error`` has the provider's words; that of the others has ours, or an operator's."""
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Look:
    """What one page of the walk has, and from where the walk goes on; None at its end."""

    ids: Sequence[UUID]
    last: UUID | None


def look(
    connection: Connection, act: Act, before: datetime, *, after: UUID | None, but_for: datetime | None = None
) -> Look:
    """Read the next page of what is old enough to be looked at, and return those to which something is to be done.

    :param before: it must have been settled before this moment.
    :param after: where the page before ended.
    :param but_for: without those that are to be removed since they were settled before this moment.
    """
    edge = uuid7(max(0, int((before + _MARGIN).timestamp() * 1000)), 0)
    beyond = MESSAGES.c.id > (after or _FIRST)
    walk = select(MESSAGES.c.id).where(beyond, MESSAGES.c.id < edge).order_by(MESSAGES.c.id)
    last = connection.execute(walk.offset(PAGE - 1).limit(1)).scalar()
    page = select(MESSAGES.c.id).where(beyond, MESSAGES.c.id <= (last or edge), *_old(act, before))
    if but_for is not None:
        page = page.where(not_(and_(*_old(Act.REMOVE, but_for))))
    return Look(connection.execute(page.order_by(MESSAGES.c.id)).scalars().all(), last)


def redact(connection: Connection, ids: Sequence[UUID], before: datetime, now: datetime) -> int:
    """Take number, words and answers out of messages, and return out of how many.

    Key and fingerprint stay, so that the same call still finds its first receipt; so do amounts, times, and of what the
    provider said its statuses and error codes.
    """
    wanted = select(MESSAGES.c.id).where(MESSAGES.c.id.in_(ids), *_old(Act.REDACT, before))
    held = connection.execute(wanted.with_for_update(skip_locked=True)).scalars().all()
    if not held:
        return 0
    answered = MESSAGES.c.state.in_([state.value for state in _ANSWERED]) & MESSAGES.c.last_error.is_not(None)
    said = (MESSAGES.c.state != State.EXPIRED.value) & MESSAGES.c.failure.is_not(None)
    code = func.coalesce(MESSAGES.c.last_code, MESSAGES.c.last_outcome)
    changes: dict[str, Any] = {
        "recipient": _pseudonym(),
        "body": case((MESSAGES.c.body.is_not(None), "")),
        "gift": _without_note(connection.dialect.name),
        "last_error": case((answered, code), else_=MESSAGES.c.last_error),
        "failure": case((said, code), else_=MESSAGES.c.failure),
        "redacted_at": now,
    }
    connection.execute(update(MESSAGES).where(MESSAGES.c.id.in_(held)).values(changes))
    answers = or_(ATTEMPTS.c.response.is_not(None), ATTEMPTS.c.error_description.is_not(None))
    connection.execute(
        update(ATTEMPTS).where(ATTEMPTS.c.message_id.in_(held), answers).values(response=None, error_description=None)
    )
    _forget_edits(connection, held)
    return len(held)


def remove(connection: Connection, ids: Sequence[UUID], before: datetime) -> int:
    """Remove messages with their calls and guards, and return how many; their campaigns go on counting them."""
    wanted = (MESSAGES.c.id.in_(ids), *_old(Act.REMOVE, before))
    # Campaigns first: who holds one may be waiting for its messages, and nobody's messages are waited for here.
    campaigns = select(MESSAGES.c.campaign_id).where(*wanted, MESSAGES.c.campaign_id.is_not(None)).distinct()
    found = connection.execute(campaigns).scalars().all()
    counting = select(CAMPAIGNS.c.id, CAMPAIGNS.c.removed).where(CAMPAIGNS.c.id.in_(found)).order_by(CAMPAIGNS.c.id)
    removed = {row.id: row.removed for row in connection.execute(counting.with_for_update(key_share=True))}
    rows = select(MESSAGES.c.id, MESSAGES.c.campaign_id, MESSAGES.c.state).where(*wanted)
    held = connection.execute(rows.with_for_update(skip_locked=True)).all()
    if not held:
        return 0
    gone: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for row in held:
        if row.campaign_id is not None:
            gone[row.campaign_id][row.state] += 1
    for campaign, states in gone.items():
        sums = dict(Counter(removed[campaign] or {}) + states)
        connection.execute(update(CAMPAIGNS).where(CAMPAIGNS.c.id == campaign).values(removed=sums))
    ids = [row.id for row in held]
    _forget_edits(connection, ids)
    connection.execute(delete(MESSAGES).where(MESSAGES.c.id.in_(ids)))
    return len(ids)


def _old(act: Act, before: datetime) -> list[ColumnElement[bool]]:
    """Return what must hold of a message to which something is to be done."""
    settled = [MESSAGES.c.state.in_([state.value for state in _AT_REST]), MESSAGES.c.updated_at < before]
    match act:
        case Act.REDACT:
            return [*settled, MESSAGES.c.redacted_at.is_(None)]
        case Act.REMOVE:
            certain = or_(MESSAGES.c.state.in_([state.value for state in _CARRIED_OUT]), ~guarded())
            return [*settled, certain]


def _pseudonym() -> ColumnElement[str]:
    """Build what stands for a number: from all of the id that is not its time, since a campaign has each once."""
    digits = func.replace(cast(MESSAGES.c.id, String), "-", "")
    return literal(PSEUDONYM, String) + func.substr(digits, 14, type_=String)


def _without_note(dialect: str) -> ColumnElement[Any]:
    if dialect == "postgresql":
        return MESSAGES.c.gift.op("||")(cast({"note": ""}, Json))
    return func.json_set(MESSAGES.c.gift, "$.note", "", type_=String)


def _forget_edits(connection: Connection, ids: Sequence[UUID]) -> None:
    """Take what edited messages were before out of the audit trail; that they were edited, by whom and why, stays."""
    subjects = [str(each) for each in ids]
    edits = select(AUDIT.c.id, AUDIT.c.details).where(AUDIT.c.subject.in_(subjects), AUDIT.c.action == EDITED)
    for row in connection.execute(edits).all():
        if "was" in row.details:
            kept = {name: value for name, value in row.details.items() if name != "was"}
            details = kept | {"redacted": True}
            connection.execute(update(AUDIT).where(AUDIT.c.id == row.id).values(details=details))
