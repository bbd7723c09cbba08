"""Campaigns in the ledger: made, found, started, paused, resumed, cancelled. Each move is one guarded UPDATE."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, delete, func, select, update

from dispatcher.domain.budget import Budget, parse_budget
from dispatcher.domain.campaign import Terms
from dispatcher.domain.errors import CampaignConflict, CampaignNotFound, CampaignRefused
from dispatcher.domain.message import Channel
from dispatcher.domain.state import CampaignState
from dispatcher.ledger.counts import Counts, kept
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.tables import CAMPAIGNS, LANES
from dispatcher.ledger.upsert import insert_into

_PAUSABLE = (CampaignState.RUNNING, CampaignState.SCHEDULED)
_CANCELLABLE = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as it stands in the ledger. Times are aware UTC."""

    id: UUID
    name: str
    channel: Channel
    template: str | None = field(repr=False)
    gift: dict[str, Any] | None
    state: CampaignState
    starts_at: datetime | None
    expires_at: datetime | None
    send_window: str | None
    rate: str | None
    budget: str | None
    region: str | None
    columns: dict[str, str] | None
    source: str | None
    digest: str
    created_by: str | None
    total: int
    """Recipients that were loaded."""
    rows_read: int
    """How far the intake is."""
    invalid: int
    duplicates: int
    opted_out: int
    """Recipients that the intake left out since they had opted out."""
    parts: int
    """SMS parts of all texts together."""
    loaded_at: datetime | None
    """When the intake was complete; None while it is not."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    paused_at: datetime | None
    paused_until: datetime | None
    paused_by: str | None
    pause_reason: str | None
    spent: int
    """What its gifts have cost, those in doubt included, in the currency's smallest unit; counted with a budget."""
    spent_that_day: int
    day: str | None
    counts: dict[str, Any] | None = field(repr=False)
    counted_at: datetime | None
    removed: dict[str, int] | None
    """How many of its messages were removed since they were old, by the state that they had."""

    def counted(self, *, now: datetime) -> Counts | None:
        """Return what the clock counted last, and the rate then; None before its first count."""
        return kept(self.counts, self.counted_at, now=now)

    @property
    def parsed_budget(self) -> Budget | None:
        """The budget as a value."""
        if self.budget is None or self.gift is None:
            return None
        return parse_budget(self.budget, self.gift["currency"])


_COLUMNS = tuple(Campaign.__dataclass_fields__)


def make(
    connection: Connection, terms: Terms, by: By, *, id: UUID, source: str, digest: str, expires_at: datetime
) -> tuple[Campaign, bool]:
    """Make a draft, or find the one that this very call made before; say whether it is new.

    :raises CampaignConflict: the name belongs to a campaign with other terms or recipients.
    """
    values = {
        "id": id,
        "name": terms.name,
        "channel": terms.channel.value,
        "template": terms.template_text,
        "gift": _gift(terms),
        "state": CampaignState.DRAFT.value,
        "starts_at": terms.starts_at,
        "expires_at": expires_at,
        "send_window": None if terms.window is None else str(terms.window),
        "rate": None if terms.rate is None else str(terms.rate),
        "budget": None if terms.budget is None else str(terms.budget),
        "region": terms.region,
        "columns": dict(terms.columns) or None,
        "source": source[:200],
        "digest": digest,
        "created_by": by.actor,
        "created_at": by.now,
    }
    insert = insert_into(connection, CAMPAIGNS).on_conflict_do_nothing().values(values).returning(CAMPAIGNS.c.id)
    made = connection.execute(insert).scalar()
    found = find(connection, terms.name)
    if made is not None:
        audit(connection, by, "create campaign", _subject(found), name=terms.name, source=source)
    else:
        _same(found, values)
    return found, made is not None


def _same(found: Campaign, wanted: dict[str, Any]) -> None:
    names = {"send_window": "window", "digest": "file", "gift": "gift", "columns": "map"}
    # Not its moments: by the second time they may be past, or have been told as "in ten minutes" again.
    for column in ("channel", "template", "gift", "send_window", "rate", "budget", "region", "columns"):
        if getattr(found, column) != wanted[column]:
            raise CampaignConflict(found.name, found.id, names.get(column, column))
    if found.digest != wanted["digest"]:
        raise CampaignConflict(found.name, found.id, "file")


def _gift(terms: Terms) -> dict[str, Any] | None:
    gift = terms.gift
    if gift is None:
        return None
    return {"sku": gift.sku, "amount": gift.amount, "currency": gift.currency}


def find(connection: Connection, asked: UUID | str) -> Campaign:
    """Return a campaign by its id or its name; of several cancelled ones with a name, the newest.

    :raises CampaignNotFound: there is none.
    """
    try:
        id_: UUID | None = asked if isinstance(asked, UUID) else UUID(asked)
    except ValueError:
        id_ = None
    columns = select(*(CAMPAIGNS.c[name] for name in _COLUMNS))
    row = connection.execute(columns.where(CAMPAIGNS.c.id == id_)).one_or_none() if id_ is not None else None
    if row is None and isinstance(asked, str):
        alive_first = case((CAMPAIGNS.c.state == CampaignState.CANCELLED.value, 1), else_=0)
        by_name = columns.where(CAMPAIGNS.c.name == asked).order_by(alive_first, CAMPAIGNS.c.id.desc()).limit(1)
        row = connection.execute(by_name).one_or_none()
    if row is None:
        raise CampaignNotFound(repr(asked) if isinstance(asked, str) else asked)
    return _campaign(row)


def listed(connection: Connection, *, states: tuple[CampaignState, ...], limit: int) -> list[Campaign]:
    """Return campaigns, newest first; all states if none is named."""
    statement = select(*(CAMPAIGNS.c[name] for name in _COLUMNS)).order_by(CAMPAIGNS.c.id.desc()).limit(limit)
    if states:
        statement = statement.where(CAMPAIGNS.c.state.in_([state.value for state in states]))
    return [_campaign(row) for row in connection.execute(statement)]


def discard(connection: Connection, campaign: UUID) -> None:
    """Forget a draft that has no message: its file held nobody who could get one."""
    connection.execute(delete(LANES).where(LANES.c.campaign_id == campaign))
    connection.execute(
        delete(CAMPAIGNS).where(
            CAMPAIGNS.c.id == campaign, CAMPAIGNS.c.state == CampaignState.DRAFT.value, CAMPAIGNS.c.total == 0
        )
    )


def start(connection: Connection, campaign: Campaign, by: By, *, at: datetime | None) -> None:
    """Start a draft or a scheduled campaign now, or at a moment to come.

    :raises CampaignRefused: it is not loaded yet, or in another state.
    """
    if campaign.loaded_at is None and campaign.state is CampaignState.DRAFT:
        raise CampaignRefused(
            campaign.name,
            f"loaded up to row {campaign.rows_read:,} only",
            "started",
            allowed="run the same `campaign create` again: it goes on where it was",
        )
    later = at is not None and at > by.now
    state = CampaignState.SCHEDULED if later else CampaignState.RUNNING
    changes = {"state": state.value, "starts_at": at if later else by.now, "started_at": None if later else by.now}
    sources = (CampaignState.DRAFT, CampaignState.SCHEDULED)
    _move(connection, campaign, sources, changes, asked="started", allowed="only a draft or a scheduled one can be")
    audit(connection, by, "schedule" if later else "start", _subject(campaign))


def pause(connection: Connection, campaign: Campaign, by: By, *, until: datetime | None) -> None:
    """Stop a campaign at the next claim, everywhere.

    :raises CampaignRefused: it neither runs nor waits for its start.
    """
    changes = {
        "state": CampaignState.PAUSED.value,
        "paused_at": by.now,
        "paused_until": until,
        "paused_by": by.actor,
        "pause_reason": by.reason,
    }
    allowed = "only a running or a scheduled one can be"
    _move(connection, campaign, _PAUSABLE, changes, asked="paused", allowed=allowed)
    audit(connection, by, "pause", _subject(campaign))


def resume(connection: Connection, campaign: Campaign, by: By) -> None:
    """Go on with exactly those that have not been sent; a campaign that had not started yet is scheduled again.

    :raises CampaignRefused: it is not paused.
    """
    paused = (CampaignState.PAUSED,)
    _move(connection, campaign, paused, resumed(by.now), asked="resumed", allowed="only a paused one can be")
    audit(connection, by, "resume", _subject(campaign))


def resumed(now: datetime) -> dict[str, Any]:
    """Return what changes when a pause ends."""
    waits = (CAMPAIGNS.c.started_at.is_(None)) & (CAMPAIGNS.c.starts_at > now)
    return {
        "state": case((waits, CampaignState.SCHEDULED.value), else_=CampaignState.RUNNING.value),
        "started_at": case((waits, None), else_=func.coalesce(CAMPAIGNS.c.started_at, now)),
        "paused_at": None,
        "paused_until": None,
        "paused_by": None,
        "pause_reason": None,
    }


def cancel(connection: Connection, campaign: Campaign, by: By) -> None:
    """Never send another one. What is queued becomes ``cancelled``; what is under way lands.

    :raises CampaignRefused: it is over.
    """
    changes = {"state": CampaignState.CANCELLED.value, "finished_at": by.now}
    _move(connection, campaign, _CANCELLABLE, changes, asked="cancelled", allowed="it is over")
    audit(connection, by, "cancel", _subject(campaign))


def lanes(connection: Connection, campaign: UUID) -> dict[str, int]:
    """Return the campaign's lanes by their zones."""
    rows = connection.execute(select(LANES.c.zones, LANES.c.lane).where(LANES.c.campaign_id == campaign))
    return {row.zones: row.lane for row in rows}


def _move(
    connection: Connection,
    campaign: Campaign,
    sources: tuple[CampaignState, ...],
    changes: dict[str, Any],
    *,
    asked: str,
    allowed: str,
) -> None:
    moved = connection.execute(
        update(CAMPAIGNS)
        .where(CAMPAIGNS.c.id == campaign.id, CAMPAIGNS.c.state.in_([source.value for source in sources]))
        .values(changes)
        .returning(CAMPAIGNS.c.id)
    ).scalar()
    if moved is None:
        raise CampaignRefused(campaign.name, find(connection, campaign.id).state.value, asked, allowed=allowed)


def _subject(campaign: Campaign) -> str:
    return f"campaign:{campaign.id}"


def _campaign(row: Any) -> Campaign:
    values = dict(row._mapping)
    return Campaign(**values | {"channel": Channel(values["channel"]), "state": CampaignState(values["state"])})
