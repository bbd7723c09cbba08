"""Record what attempts came to: one group commit for a whole batch, by compare-and-set on each lease.

An answer whose lease was lost still counts while the message is in doubt: it is the evidence that resolves it. In any
other case a newer holder exists; then only the attempt is kept, and the state stays as that holder left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exists, insert, select, update

from dispatcher.domain.attempt import Settlement
from dispatcher.domain.failure import failure_of
from dispatcher.domain.identity import MessageId
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.domain.suspicion import Blame
from dispatcher.ledger import minutes
from dispatcher.ledger.reopening import campaigns_of, reopen
from dispatcher.ledger.scripts import as_json, as_text, load
from dispatcher.ledger.tables import ATTEMPTS, LONGEST_ERROR, MESSAGES

_SETTLE = load("settle")


def settle(connection: Connection, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
    """Record a batch and return the messages whose state it set."""
    taken: set[MessageId] = set()
    while settlements:
        round_ = {settlement.message_id: settlement for settlement in reversed(settlements)}
        taken |= _settle_once_each(connection, list(round_.values()))
        settlements = [s for s in settlements if round_[s.message_id] is not s]
    return frozenset(taken)


def _settle_once_each(connection: Connection, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
    settlements = sorted(settlements, key=_message)  # in one order, so that two batches at once do not wait in a circle
    now = max(settlement.finished_at for settlement in settlements)
    rows = {settlement.message_id: _as_json(settlement) for settlement in settlements}
    set_states, *append = _SETTLE[connection.dialect.name]
    found = connection.execute(set_states, {"settlements": as_json(rows.values()), "now": as_text(now)})
    channels = {MessageId(_as_uuid(id_)): channel for id_, channel in found}
    taken = frozenset(channels)
    minutes.add(connection, [(channels[each.message_id], each) for each in settlements if each.message_id in taken])
    for statement in append:
        connection.execute(statement, {"settlements": as_json(rows[message] for message in taken)})
    again = [s.message_id for s in settlements if s.message_id in taken and s.decision.state is State.QUEUED]
    if again:  # a late answer may come after its campaign was over
        reopen(connection, campaigns_of(again))
    for late in settlements:
        if late.message_id not in taken:
            _keep_evidence(connection, late)
    return taken


def _keep_evidence(connection: Connection, late: Settlement) -> None:
    """Append the attempt alone, once, whatever became of the message since."""
    # Held first: else two who keep the same one at once would each look before the other has written.
    connection.execute(select(MESSAGES.c.id).where(MESSAGES.c.id == late.message_id).with_for_update())
    recorded = exists(select(ATTEMPTS.c.id).where(ATTEMPTS.c.id == late.attempt_id))
    number = connection.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id == late.message_id, ~recorded)
        .values(calls_made=MESSAGES.c.calls_made + 1)
        .returning(MESSAGES.c.calls_made)
    ).scalar()
    if number is not None:
        row = attempt_row(late) | {"number": number, "next_due_at": None}
        row["why_next"] = "the lease had run out: kept as evidence, the state is another's"
        connection.execute(insert(ATTEMPTS), row)


def attempt_row(settlement: Settlement) -> dict[str, Any]:
    """Write an attempt as the values of its row; its number is the ledger's to give."""
    outcome, decision = settlement.outcome, settlement.decision
    return {
        "id": settlement.attempt_id,
        "message_id": settlement.message_id,
        "trigger": settlement.trigger.value,
        "worker": settlement.worker,
        "started_at": settlement.started_at,
        "finished_at": settlement.finished_at,
        "outcome": outcome.kind.value,
        "http_status": outcome.http_status,
        "error": outcome.error,
        "error_description": outcome.error_description,
        "retry_after_s": None if outcome.retry_after is None else outcome.retry_after.total_seconds(),
        "provider_id": outcome.provider_id,
        "latency_ms": settlement.latency_ms,
        "token_generation": settlement.token_generation,
        "response": outcome.response,
        "next_due_at": decision.due_at,
        "why_next": decision.why,
        "request_ids": dict(outcome.request_ids) or None,
    }


def _as_json(settlement: Settlement) -> dict[str, Any]:
    outcome, decision = settlement.outcome, settlement.decision
    row = attempt_row(settlement)
    # A newer generation that is refused as well shows that the token is not the cause.
    refused = None if decision.blame in (None, Blame.MESSAGE) else settlement.token_generation
    return row | {
        "id": settlement.message_id,
        "lease": settlement.lease,
        "attempt_id": settlement.attempt_id,
        "started_at": as_text(settlement.started_at),
        "finished_at": as_text(settlement.finished_at),
        "next_due_at": as_text(decision.due_at),
        "state": decision.state.value,
        "spent": int(decision.spends),
        "doubtful": int(decision.doubtful),
        "refused_generation": refused,
        "configuration_answers": settlement.configuration_answers,
        "accepted": int(decision.state is State.ACCEPTED),
        # A gift may be sent again only once it is certain that it was not carried out.
        "free": int(decision.state in (State.QUEUED, State.DEAD)),
        "last_error": None if outcome.kind is OutcomeKind.ACCEPTED else outcome.in_words[:LONGEST_ERROR],
        "failure": None if outcome.kind is OutcomeKind.ACCEPTED else failure_of(outcome),
    }


def _message(settlement: Settlement) -> MessageId:
    return settlement.message_id


def _as_uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
