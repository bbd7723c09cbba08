"""What time does to campaigns: starts come, timed pauses end, windows open anew, the last message ends a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, select, update

from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.window import SendWindow, parse_window
from dispatcher.ledger.campaigns import resumed
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.reopening import hold, reopen
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES
from dispatcher.ports import Advance

SWEPT_AT_ONCE = 5000
JUST_FINISHED = timedelta(minutes=1)
"""For so long a finished campaign is looked at again: a message may have been queued at the very same moment."""
NEVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class _Wanted:
    start: Sequence[UUID]
    resume: Sequence[UUID]
    finish: Sequence[UUID]
    reopen: Sequence[UUID]
    sweep: Sequence[UUID]
    lanes: Sequence[Any]

    @property
    def campaigns(self) -> set[UUID]:
        return {*self.start, *self.resume, *self.finish, *self.reopen, *self.sweep}

    @property
    def anything(self) -> bool:
        return bool(self.campaigns or self.lanes)


def advance(engine: Engine, *, now: datetime) -> Advance:
    """Do what is due. Idempotent: two clocks at once do it once. Writes only if something is to be written."""
    with reading(engine) as connection:
        wanted = _look(connection, now)
    if not wanted.anything:
        return Advance()
    with transaction(engine) as connection:
        if wanted.campaigns:
            hold(connection, wanted.campaigns)  # all at once, in order; a sweep would miss what is being queued again
        _open_windows(connection, wanted.lanes, now)
        if wanted.reopen:
            reopen(connection, wanted.reopen, _left(State.QUEUED))
        return Advance(
            started=_start(connection, wanted.start, now),
            resumed=_resume(connection, wanted.resume, now),
            finished=_finish(connection, wanted.finish, now),
            called_off=_sweep(connection, wanted.sweep, now),
        )


def next_interval(window: str | None, zones: str, now: datetime) -> dict[str, datetime | None]:
    """Return when a lane opens next and closes then, as the values of its row; both None without a window."""
    if window is None:
        return {"opens_at": None, "closes_at": None}
    found = _window(window).interval(now, tuple(zones.split()))
    opens_at, closes_at = found or (now + NEVER, now + NEVER)
    return {"opens_at": opens_at, "closes_at": closes_at}


@lru_cache(maxsize=256)
def _window(text: str) -> SendWindow:
    return parse_window(text)


def _look(connection: Connection, now: datetime) -> _Wanted:
    def ids(*conditions: ColumnElement[bool]) -> Sequence[UUID]:
        return connection.execute(select(CAMPAIGNS.c.id).where(*conditions)).scalars().all()

    lapsed = (
        select(LANES.c.campaign_id, LANES.c.lane, LANES.c.zones, CAMPAIGNS.c.send_window)
        .join(CAMPAIGNS, CAMPAIGNS.c.id == LANES.c.campaign_id)
        .where(
            CAMPAIGNS.c.state.in_([state.value for state in CampaignState if not state.over]),
            LANES.c.closes_at <= now,
        )
    )
    return _Wanted(
        start=ids(_is(CampaignState.SCHEDULED), CAMPAIGNS.c.starts_at <= now),
        resume=ids(_is(CampaignState.PAUSED), CAMPAIGNS.c.paused_until <= now),
        finish=ids(_is(CampaignState.RUNNING), ~_left(State.QUEUED), ~_left(State.SENDING)),
        reopen=ids(_is(CampaignState.FINISHED), CAMPAIGNS.c.finished_at > now - JUST_FINISHED, _left(State.QUEUED)),
        sweep=ids(_is(CampaignState.CANCELLED), CAMPAIGNS.c.swept_at.is_(None)),
        lanes=connection.execute(lapsed).all(),
    )


def _is(state: CampaignState) -> ColumnElement[bool]:
    return CAMPAIGNS.c.state == state.value


def _left(state: State) -> ColumnElement[bool]:
    """Build the condition "the campaign has messages in this state"; each way has its partial index."""
    of_it = and_(MESSAGES.c.campaign_id == CAMPAIGNS.c.id, MESSAGES.c.state == state.value)
    if state is State.QUEUED:
        of_it = and_(of_it, MESSAGES.c.channel == CAMPAIGNS.c.channel, MESSAGES.c.priority == Priority.BULK.value)
    return exists().where(of_it)


def _start(connection: Connection, campaigns: Sequence[UUID], now: datetime) -> tuple[str, ...]:
    return _change(
        connection,
        campaigns,
        and_(_is(CampaignState.SCHEDULED), CAMPAIGNS.c.starts_at <= now),
        {"state": CampaignState.RUNNING.value, "started_at": now},
    )


def _resume(connection: Connection, campaigns: Sequence[UUID], now: datetime) -> tuple[str, ...]:
    ended = and_(_is(CampaignState.PAUSED), CAMPAIGNS.c.paused_until <= now)
    return _change(connection, campaigns, ended, resumed(now))


def _finish(connection: Connection, campaigns: Sequence[UUID], now: datetime) -> tuple[str, ...]:
    done = and_(_is(CampaignState.RUNNING), ~_left(State.QUEUED), ~_left(State.SENDING))
    return _change(connection, campaigns, done, {"state": CampaignState.FINISHED.value, "finished_at": now})


def _change(
    connection: Connection, campaigns: Sequence[UUID], still: ColumnElement[bool], changes: dict[str, Any]
) -> tuple[str, ...]:
    if not campaigns:
        return ()
    changed = update(CAMPAIGNS).where(CAMPAIGNS.c.id.in_(campaigns), still).values(changes).returning(CAMPAIGNS.c.name)
    return tuple(connection.execute(changed).scalars())


def _sweep(connection: Connection, campaigns: Sequence[UUID], now: datetime) -> int:
    """Take what cancelled campaigns had queued out of the queue, a bounded number at a time."""
    swept = 0
    for campaign in campaigns:
        queued = (
            select(MESSAGES.c.id)
            .where(
                MESSAGES.c.state == State.QUEUED.value,
                MESSAGES.c.channel.in_([channel.value for channel in Channel]),
                MESSAGES.c.priority == Priority.BULK.value,
                MESSAGES.c.campaign_id == campaign,
            )
            .limit(SWEPT_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        called_off = (
            update(MESSAGES)
            .where(MESSAGES.c.id.in_(queued), MESSAGES.c.state == State.QUEUED.value)
            .values(state=State.CANCELLED.value, updated_at=now, last_error="its campaign was cancelled")
        )
        swept += connection.execute(called_off).rowcount
        over = and_(CAMPAIGNS.c.id == campaign, ~_left(State.QUEUED), ~_left(State.SENDING))
        connection.execute(update(CAMPAIGNS).where(over).values(swept_at=now))
    return swept


def _open_windows(connection: Connection, lanes: Sequence[Any], now: datetime) -> None:
    """Write down when lapsed windows open next. What two clocks write is the same."""
    for lane in lanes:
        connection.execute(
            update(LANES)
            .where(LANES.c.campaign_id == lane.campaign_id, LANES.c.lane == lane.lane, LANES.c.closes_at <= now)
            .values(next_interval(lane.send_window, lane.zones, now))
        )
