"""What became of a campaign: counts, reasons of failure, who got it; and the failed ones queued again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, select, update

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.errors import CampaignRefused
from dispatcher.domain.recipient import REDACTED, Recipient
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.campaigns import Campaign
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.failures import given_up, guarded
from dispatcher.ledger.operations import By, audit, audit_each, queued_again
from dispatcher.ledger.reopening import hold, reopen
from dispatcher.ledger.tables import MESSAGES

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Messages that failed for one reason."""

    state: State
    outcome: str | None
    error: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one recipient got."""

    id: UUID
    recipient: Recipient
    state: State
    reason: str | None
    attempts_made: int
    doubtful_sends: int
    accepted_at: datetime | None
    provider_id: str | None


def failures(connection: Connection, campaign: UUID, *, limit: int) -> list[FailureGroup]:
    """Group what failed or is in doubt by its reason, told alike for all that have it."""
    of_it = MESSAGES.c.campaign_id == campaign
    unclear = MESSAGES.c.state.in_([State.IN_DOUBT.value, State.UNDELIVERED.value])
    by = (MESSAGES.c.state, MESSAGES.c.last_outcome, MESSAGES.c.last_status, MESSAGES.c.failure)
    found = [
        FailureGroup(
            state=State(row.state),
            outcome=row.last_outcome,
            error=" ".join(str(part) for part in (row.last_status, row.failure) if part) or None,
            count=row.messages,
        )
        for where in (given_up(), unclear)  # each has its index
        for row in connection.execute(select(*by, func.count().label("messages")).where(of_it, where).group_by(*by))
    ]
    return sorted(found, key=lambda group: -group.count)[:limit]


def retryable(connection: Connection, campaign: UUID) -> int:
    """Count what a retry would queue again."""
    return connection.execute(select(func.count()).select_from(MESSAGES).where(_failed(campaign))).scalar_one()


def retry_failed(engine: Engine, campaign: Campaign, by: By, *, budget: int, life: timedelta) -> int:
    """Queue dead and expired messages again, a page a transaction; what is in doubt is for a person to resolve.

    Each page is a guarded change of state, so that a retry that is killed or run twice queues each message once. What
    fails again while it goes on is not meant: only what had failed when it was asked for.

    :raises CampaignRefused: the campaign was cancelled, or was never started.
    """
    count = 0
    while True:
        with transaction(engine) as connection:
            _hold(connection, campaign)
            failed = select(MESSAGES.c.id).where(_failed(campaign.id), MESSAGES.c.updated_at <= by.now).limit(_AT_ONCE)
            again = (
                update(MESSAGES)
                .where(MESSAGES.c.id.in_(failed), _failed(campaign.id))
                .values(queued_again(by.now, budget=budget, life=life, trigger=Trigger.REPLAY))
            )
            changed = connection.execute(again.returning(MESSAGES.c.id)).scalars().all()
            page = len(changed)
            if page:
                reopen(connection, [campaign.id])
                audit(connection, by, "retry failed", f"campaign:{campaign.id}", messages=page)
                audit_each(connection, by, "replay", changed, campaign=str(campaign.id))
        count += page
        if page < _AT_ONCE:
            return count


def deliveries(engine: Engine, campaign: UUID) -> Iterator[Delivery]:
    """Yield every recipient of a campaign by number, some thousand rows at a time; those redacted stand at the end."""
    columns = (
        *(MESSAGES.c.id, MESSAGES.c.recipient, MESSAGES.c.state, MESSAGES.c.last_error, MESSAGES.c.attempts_made),
        *(MESSAGES.c.doubtful_sends, MESSAGES.c.accepted_at, MESSAGES.c.provider_id, MESSAGES.c.redacted_at),
    )
    last = ""
    while True:
        page = select(*columns).where(MESSAGES.c.campaign_id == campaign, MESSAGES.c.recipient > last)
        with reading(engine) as connection:
            rows = connection.execute(page.order_by(MESSAGES.c.recipient).limit(_AT_ONCE)).all()
        for row in rows:
            yield Delivery(
                id=row.id,
                recipient=REDACTED if row.redacted_at is not None else Recipient(row.recipient),
                state=State(row.state),
                reason=row.last_error,
                attempts_made=row.attempts_made,
                doubtful_sends=row.doubtful_sends,
                accepted_at=row.accepted_at,
                provider_id=row.provider_id,
            )
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].recipient


def _failed(campaign: UUID) -> ColumnElement[bool]:
    """Build the condition "failed for certain, and can be sent": a gift with its guard may have been carried out."""
    return and_(
        MESSAGES.c.campaign_id == campaign,
        given_up(),
        MESSAGES.c.redacted_at.is_(None),
        ~guarded(),
    )


def _hold(connection: Connection, campaign: Campaign) -> None:
    """Lock the campaign's row, so that it cannot be cancelled or finished between the check and the change."""
    state = hold(connection, [campaign.id])[campaign.id]
    if state in (CampaignState.CANCELLED.value, CampaignState.DRAFT.value):
        raise CampaignRefused(
            campaign.name, state, "retried", allowed="only a running, a paused or a finished one can be"
        )
