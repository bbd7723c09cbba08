"""How many messages of a campaign stand where: counted from small indexes, and kept by the clock for whoever looks.

What was accepted is never counted: it is what is left of the total, since everything else has a partial index that is
as small as the trouble is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, literal, or_, select, union_all, update

from dispatcher.domain.message import Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.deadlines import PATIENT
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES, TROUBLED

RECENT = timedelta(seconds=30)
"""The rate is measured over so long."""
SOONEST = timedelta(seconds=1)
RESTS = 20
"""A count that took a second is made again after so many: looking costs a twentieth of a core at the most."""
SETTLED = timedelta(minutes=10)
"""A campaign that is over is still counted for so long: an answer may come late."""
EVERY = timedelta(hours=12)
"""And then so often: people may answer for what was in doubt."""
_OVER = [state.value for state in CampaignState if state.over]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A campaign's messages by state, as they were at a moment."""

    states: dict[State, int]
    at: datetime
    zones: dict[str, int]
    """What is queued, by the time zones of the numbers."""
    per_second: float
    """Accepted of late."""


def counted(connection: Connection, campaign: UUID) -> dict[State, int]:
    """Count a campaign's messages by state, those included whose rows were removed: all in one statement."""
    of_it = MESSAGES.c.campaign_id == campaign
    queued = of_it & (MESSAGES.c.state == State.QUEUED.value) & (MESSAGES.c.priority == Priority.BULK.value)
    channel = select(CAMPAIGNS.c.channel).where(CAMPAIGNS.c.id == campaign).scalar_subquery()
    parts = (
        select(literal("total"), CAMPAIGNS.c.total).where(CAMPAIGNS.c.id == campaign),
        _number(State.QUEUED, queued & (MESSAGES.c.channel == channel)),
        _number(State.SENDING, of_it & (MESSAGES.c.state == State.SENDING.value)),
        *(_number(state, of_it & (MESSAGES.c.state == state.value)) for state in TROUBLED),
        *(_removed(state, campaign) for state in TROUBLED),
    )
    found: Counter[str] = Counter()
    for name, number in connection.execute(union_all(*parts)):
        found[name] += number
    total = found.pop("total", 0)
    found[State.ACCEPTED.value] = total - sum(found.values())
    return {State(state): count for state, count in found.items() if count}


def waiting_by_zones(connection: Connection, campaign: UUID) -> dict[str, int]:
    """Count what is queued in each lane, by the lane's zones."""
    rows = connection.execute(
        select(LANES.c.zones, func.count().label("waiting"))
        .join(CAMPAIGNS, CAMPAIGNS.c.id == LANES.c.campaign_id)
        .join(
            MESSAGES,
            and_(
                MESSAGES.c.campaign_id == LANES.c.campaign_id,
                MESSAGES.c.lane == LANES.c.lane,
                MESSAGES.c.channel == CAMPAIGNS.c.channel,
                MESSAGES.c.priority == Priority.BULK.value,
            ),
        )
        .where(LANES.c.campaign_id == campaign, MESSAGES.c.state == State.QUEUED.value)
        .group_by(LANES.c.zones)
    )
    return {row.zones: row.waiting for row in rows}


def recount(engine: Engine, *, now: datetime, patience: timedelta) -> None:
    """Count those campaigns again whose last count is old, for about so long, and write down what they came to."""
    ends = time.monotonic() + patience.total_seconds()
    with reading(engine) as connection:
        stale = connection.execute(
            select(CAMPAIGNS.c.id, CAMPAIGNS.c.counts)
            .where(
                or_(CAMPAIGNS.c.counted_at.is_(None), CAMPAIGNS.c.counted_at <= now - SOONEST),
                or_(
                    CAMPAIGNS.c.state.not_in(_OVER),
                    CAMPAIGNS.c.counted_at.is_(None),
                    CAMPAIGNS.c.finished_at > now - SETTLED,
                    CAMPAIGNS.c.counted_at < now - EVERY,
                ),
            )
            .order_by(CAMPAIGNS.c.counted_at.nulls_first())
        ).all()
    for row in stale:
        if time.monotonic() >= ends:
            return
        marks: list[list[Any]] = (row.counts or {}).get("marks", [])
        rests = timedelta(milliseconds=RESTS * (row.counts or {}).get("took_ms", 0))
        if not marks or datetime.fromisoformat(marks[-1][0]) + rests <= now:
            _write(engine, row.id, marks, now)


def kept(counts: dict[str, Any] | None, at: datetime | None, *, now: datetime) -> Counts | None:
    """Read what was written down; None for a campaign that nobody has counted yet."""
    if counts is None or at is None:
        return None
    states = {State(state): count for state, count in counts["states"].items()}
    return Counts(states=states, zones=counts["zones"], at=at, per_second=_rate(counts["marks"], now))


def recount_again(connection: Connection, message: UUID) -> None:
    """Have the campaign of a message counted once more, though it may be over."""
    campaign = select(MESSAGES.c.campaign_id).where(MESSAGES.c.id == message).scalar_subquery()
    connection.execute(update(CAMPAIGNS).where(CAMPAIGNS.c.id == campaign).values(counted_at=None))


def _write(engine: Engine, campaign: UUID, marks: list[list[Any]], now: datetime) -> None:
    began = time.monotonic()
    with reading(engine, deadlines=PATIENT) as connection:  # a campaign of a million
        states, zones = counted(connection, campaign), waiting_by_zones(connection, campaign)
    took_ms = round((time.monotonic() - began) * 1000)
    recent = [mark for mark in marks if datetime.fromisoformat(mark[0]) > now - RECENT]
    counts = {
        "states": {state.value: count for state, count in states.items()},
        "zones": zones,
        "marks": [*recent, [now.isoformat(), states.get(State.ACCEPTED, 0)]],
        "took_ms": took_ms,
    }
    with transaction(engine) as connection:
        connection.execute(update(CAMPAIGNS).where(CAMPAIGNS.c.id == campaign).values(counts=counts, counted_at=now))


def _rate(marks: Sequence[Sequence[Any]], now: datetime) -> float:
    points = [(datetime.fromisoformat(moment), accepted) for moment, accepted in marks]
    recent = [(moment, accepted) for moment, accepted in points if moment > now - RECENT]
    if len(recent) < 2:
        return 0.0
    (first, before), (last, after) = recent[0], recent[-1]
    return max(0.0, float(after - before) / max(1.0, (last - first).total_seconds()))


def _removed(state: State, campaign: UUID) -> Any:
    removed = func.coalesce(CAMPAIGNS.c.removed[state.value].as_integer(), 0)
    return select(literal(state.value), removed).where(CAMPAIGNS.c.id == campaign)


def _number(state: State, where: ColumnElement[bool]) -> Any:
    return select(literal(state.value), func.count()).select_from(MESSAGES).where(where)
