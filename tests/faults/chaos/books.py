"""The books after chaos: what the API really did against what the ledger says, and the receipts that were given."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select

from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.embedded.reconcile import Balance, reconcile
from dispatcher.ledger import Filter, Message
from dispatcher.ledger.engine import reading
from dispatcher.ledger.tables import ATTEMPTS, CAMPAIGNS, GIFT_GUARDS, MESSAGES
from dispatcher.spool_files import count
from tests.faults.chaos.producer import POISON, UNKNOWN_SKU
from tests.faults.chaos.world import CAMPAIGN, World

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What the comparison came to."""

    figures: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def judge(world: World, *, recipients: int) -> Verdict:
    """Compare everything with everything."""
    receipts = list(world.receipts())
    journal = [entry for kind in ("sms", "gift") for entry in world.sandbox.journal(kind=kind)]
    messages = world.books.messages(Filter(), limit=10_000_000)
    balance = reconcile(
        enqueued=receipts,
        messages=messages,
        journal=journal,
        calls_of=lambda id_: world.books.story(id_)[1],
    )
    problems = [f"{problem.check.name.lower()}: {problem.text}" for problem in balance.problems]
    problems += _rows(world, recipients)
    if (whole := world.integrity()) != "ok":
        problems.append(f"the database is damaged: {whole}")
    if quarantined := count(world.home / "spool").quarantined:
        problems.append(f"{quarantined} answers are in quarantine")
    figures = _figures(balance, receipts, world) | {"lost": _lost(receipts, messages)}
    verdict = Verdict(figures=figures, problems=problems)
    verdict.problems = [told for problem in problems[:10] for told in (problem, *_story(world, problem))]
    return verdict


def _lost(receipts: list[UUID], messages: list[Message]) -> int:
    """Count receipts without a message, and messages that never came to rest."""
    return len(set(receipts) - {message.id for message in messages}) + sum(not each.state.settled for each in messages)


def _rows(world: World, recipients: int) -> list[str]:
    """Look at what the ledger's own rows must satisfy once nothing is under way."""
    found: list[str] = []
    attempts = (
        select(ATTEMPTS.c.message_id, func.count().label("rows"), func.max(ATTEMPTS.c.number).label("last"))
        .group_by(ATTEMPTS.c.message_id)
        .subquery()
    )
    gaps = select(MESSAGES.c.id).where(
        MESSAGES.c.id == attempts.c.message_id,
        (attempts.c.rows != attempts.c.last) | (attempts.c.last != MESSAGES.c.calls_made),
    )
    unguarded = select(MESSAGES.c.id).where(
        MESSAGES.c.channel == Channel.GIFT.value,
        MESSAGES.c.state.in_([State.IN_DOUBT.value, State.ACCEPTED.value]),
        MESSAGES.c.id.not_in(select(GIFT_GUARDS.c.message_id)),
    )
    guarded = select(MESSAGES.c.id).where(
        MESSAGES.c.state.in_([State.QUEUED.value, State.CANCELLED.value, State.EXPIRED.value]),
        MESSAGES.c.id.in_(select(GIFT_GUARDS.c.message_id)),
    )
    leased = select(MESSAGES.c.id).where(MESSAGES.c.lease_expires_at.is_not(None))
    poisoned = or_(MESSAGES.c.body.contains(POISON), MESSAGES.c.gift["sku"].as_string() == UNKNOWN_SKU)
    doomed = select(MESSAGES.c.id).where(poisoned, MESSAGES.c.state == State.QUEUED.value)
    intake = select(func.count()).where(MESSAGES.c.campaign_id == CAMPAIGNS.c.id, CAMPAIGNS.c.name == CAMPAIGN)
    with reading(world.engine) as connection:
        for what, chosen in (
            ("its attempts are not numbered without a gap", gaps),
            ("a gift that may have been carried out has no guard", unguarded),
            ("a gift that was not carried out is guarded", guarded),
            ("it is leased though nothing runs", leased),
            ("the API refuses what it says, and it waits for ever", doomed),
        ):
            found += [f"{what}: {id_}" for id_ in connection.execute(chosen.limit(5)).scalars()]
        taken_in = connection.execute(intake).scalar_one()
    if taken_in != recipients:
        found.append(f"the campaign has {taken_in} messages for {recipients} recipients")
    return found


def _figures(balance: Balance, receipts: list[UUID], world: World) -> dict[str, Any]:
    sms, gift = balance.sides[Channel.SMS], balance.sides[Channel.GIFT]
    figures: dict[str, Any] = {
        "receipts": len(receipts),
        "messages": sms.total + gift.total,
        "sms": sms.total,
        "gifts": gift.total,
        "sms carried out": sms.carried_out,
        "sms carried out again, each marked": sms.again,
        "gifts carried out": gift.carried_out,
        "gifts carried out twice": gift.again,
        "states": {state.value: count for state, count in sorted((sms.states + gift.states).items())},
    }
    if world.ledger is not None:
        figures["commits cut before the server had them"] = world.ledger.cut_before
        figures["commits cut after they were carried out"] = world.ledger.cut_after
    with reading(world.engine) as connection:
        outcomes = select(ATTEMPTS.c.outcome, func.count()).group_by(ATTEMPTS.c.outcome)
        figures["outcomes"] = dict(sorted(Counter(dict(connection.execute(outcomes).tuples().all())).items()))
    return figures


def _story(world: World, problem: str) -> list[str]:
    """Tell everything that is known of the messages that a problem names."""
    told: list[str] = []
    for id_ in dict.fromkeys(_ID.findall(problem)):
        try:
            message, attempts, audit = world.books.story(UUID(id_))
        except Exception as error:
            told.append(f"    no story of {id_}: {error}")
            continue
        told.append(f"    {message!r}")
        told += [f"      attempt {each!r}" for each in attempts]
        told += [f"      audit {each!r}" for each in audit]
        for kind in ("sms", "gift"):
            told += [
                f"      API {entry!r}" for entry in world.sandbox.journal(kind=kind) if entry.idempotency_key == id_
            ]
        told += [f"      {line}" for line in world.log_lines(id_)]
    return told


def as_text(verdict: Verdict) -> str:
    """Write a verdict for a terminal."""
    lines = [f"  {name}: {json.dumps(value)}" for name, value in verdict.figures.items()]
    return "\n".join([*lines, *(f"  WRONG  {problem}" for problem in verdict.problems)])
