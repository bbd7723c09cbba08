"""Campaigns whose messages are queued again: one that finished runs again, one that was cancelled sends nothing.

A campaign is locked before its messages are queued again, and before its queue is swept. So a sweep sees either all of
them, or none because they are not queued yet; then the campaign is swept again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, case, exists, or_, select, update

from dispatcher.domain.state import CampaignState
from dispatcher.ledger.tables import CAMPAIGNS, MESSAGES


def cancelled() -> ColumnElement[bool]:
    """Build the condition "the message's campaign was cancelled"."""
    return exists().where(CAMPAIGNS.c.id == MESSAGES.c.campaign_id, CAMPAIGNS.c.state == CampaignState.CANCELLED.value)


def campaigns_of(messages: Sequence[UUID]) -> Select[UUID | None]:
    """Select the campaigns that messages belong to."""
    return select(MESSAGES.c.campaign_id).where(MESSAGES.c.id.in_(messages))


def hold(connection: Connection, campaigns: Collection[UUID] | Select[UUID | None]) -> dict[UUID, str]:
    """Lock campaigns until the transaction ends and return their states; others wait to cancel or sweep them."""
    rows = connection.execute(
        select(CAMPAIGNS.c.id, CAMPAIGNS.c.state)
        .where(CAMPAIGNS.c.id.in_(campaigns))
        .order_by(CAMPAIGNS.c.id)  # the same order for all, so that none waits for another
        .with_for_update(key_share=True)
    )
    return {row.id: row.state for row in rows}


def reopen(
    connection: Connection, campaigns: Collection[UUID] | Select[UUID | None], *still: ColumnElement[bool]
) -> None:
    """Let campaigns process messages that are queued again, however long ago they were over.

    :param still: further conditions.
    """
    finished = CAMPAIGNS.c.state == CampaignState.FINISHED.value
    swept = (CAMPAIGNS.c.state == CampaignState.CANCELLED.value) & CAMPAIGNS.c.swept_at.is_not(None)
    changes: dict[str, Any] = {
        "state": case((finished, CampaignState.RUNNING.value), else_=CAMPAIGNS.c.state),
        "finished_at": case((finished, None), else_=CAMPAIGNS.c.finished_at),
        "swept_at": None,
    }
    connection.execute(
        update(CAMPAIGNS).where(CAMPAIGNS.c.id.in_(campaigns), or_(finished, swept), *still).values(changes)
    )
