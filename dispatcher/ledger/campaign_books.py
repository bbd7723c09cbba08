"""The ledger as campaigns use it: each method one short transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine

from dispatcher.domain.campaign import Terms
from dispatcher.domain.message import Channel
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import after_campaigns, campaigns, counts, loading, suppressions
from dispatcher.ledger.after_campaigns import Delivery, FailureGroup
from dispatcher.ledger.campaigns import Campaign
from dispatcher.ledger.closed import Closed, closed
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.loading import Loaded, LoadPage
from dispatcher.ledger.operations import By
from dispatcher.ledger.suppressions import OptOut


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignBooks:
    """Reads and careful writes about campaigns; all methods raise LedgerUnavailable when the ledger is away."""

    engine: Engine

    @property
    def page_size(self) -> int:
        """How many recipients share a transaction: on SQLite few, since everybody else waits for it meanwhile."""
        return 10_000 if self.engine.dialect.name == "postgresql" else 2_000

    def make(
        self, terms: Terms, by: By, *, id: UUID, source: str, digest: str, expires_at: datetime
    ) -> tuple[Campaign, bool]:
        """Make a draft, or find the one that the same call made before; raises CampaignConflict."""
        with transaction(self.engine) as connection:
            return campaigns.make(connection, terms, by, id=id, source=source, digest=digest, expires_at=expires_at)

    def load(
        self, campaign: Campaign, page: LoadPage, *, max_attempts: int, lanes: dict[str, int], now: datetime
    ) -> Loaded:
        """Load a page of recipients; rows, counts and cursor commit together."""
        with transaction(self.engine) as connection:
            return loading.load(connection, campaign, page, max_attempts=max_attempts, lanes=lanes, now=now)

    def complete(self, campaign: UUID, *, now: datetime) -> Campaign:
        """Close the intake and return the campaign as it stands then."""
        with transaction(self.engine) as connection:
            loading.complete(connection, campaign, now=now)
            return campaigns.find(connection, campaign)

    def discard(self, campaign: UUID) -> None:
        """Forget a draft that has no message."""
        with transaction(self.engine) as connection:
            campaigns.discard(connection, campaign)

    def lanes(self, campaign: UUID) -> dict[str, int]:
        """Return the campaign's lanes by their zones."""
        with reading(self.engine) as connection:
            return campaigns.lanes(connection, campaign)

    def find(self, asked: UUID | str) -> Campaign:
        """Return a campaign by its id or name; raises CampaignNotFound."""
        with reading(self.engine) as connection:
            return campaigns.find(connection, asked)

    def listed(self, *, states: tuple[CampaignState, ...] = (), limit: int = 50) -> list[Campaign]:
        """Return campaigns, newest first."""
        with reading(self.engine) as connection:
            return campaigns.listed(connection, states=states, limit=limit)

    def start(self, asked: UUID | str, by: By, *, at: datetime | None) -> Campaign:
        """Start a campaign now or at a moment to come; raises CampaignNotFound or CampaignRefused."""
        with transaction(self.engine) as connection:
            found = campaigns.find(connection, asked)
            campaigns.start(connection, found, by, at=at)
            return campaigns.find(connection, found.id)

    def pause(self, asked: UUID | str, by: By, *, until: datetime | None) -> Campaign:
        """Stop a campaign at the next claim; raises CampaignNotFound or CampaignRefused."""
        with transaction(self.engine) as connection:
            found = campaigns.find(connection, asked)
            campaigns.pause(connection, found, by, until=until)
            return campaigns.find(connection, found.id)

    def resume(self, asked: UUID | str, by: By) -> Campaign:
        """Go on with those that have not been sent; raises CampaignNotFound or CampaignRefused."""
        with transaction(self.engine) as connection:
            found = campaigns.find(connection, asked)
            campaigns.resume(connection, found, by)
            return campaigns.find(connection, found.id)

    def cancel(self, asked: UUID | str, by: By) -> Campaign:
        """Never send another one; raises CampaignNotFound or CampaignRefused."""
        with transaction(self.engine) as connection:
            found = campaigns.find(connection, asked)
            campaigns.cancel(connection, found, by)
            return campaigns.find(connection, found.id)

    def retry_failed(self, asked: UUID | str, by: By, *, budget: int, life: timedelta) -> tuple[Campaign, int]:
        """Queue the dead and expired messages of a campaign again, and let it run again if it had finished."""
        with reading(self.engine) as connection:
            found = campaigns.find(connection, asked)
        count = after_campaigns.retry_failed(self.engine, found, by, budget=budget, life=life)
        return self.find(found.id), count

    def retryable(self, campaign: UUID) -> int:
        """Count what a retry would queue again."""
        with reading(self.engine) as connection:
            return after_campaigns.retryable(connection, campaign)

    def closed(self, *, now: datetime, campaigns: Collection[UUID] | None = None) -> list[Closed]:
        """Return the running campaigns, of some or all, whose window is closed for every queued message."""
        with reading(self.engine) as connection:
            return closed(connection, now=now, campaigns=campaigns)

    def counted(self, campaign: UUID) -> dict[State, int]:
        """Count a campaign's messages by state."""
        with reading(self.engine) as connection:
            return counts.counted(connection, campaign)

    def failures(self, campaign: UUID, *, limit: int) -> list[FailureGroup]:
        """Return the reasons why messages of a campaign failed, the most frequent first."""
        with reading(self.engine) as connection:
            return after_campaigns.failures(connection, campaign, limit=limit)

    def deliveries(self, campaign: UUID) -> Iterator[Delivery]:
        """Yield who got it and who did not, by number."""
        return after_campaigns.deliveries(self.engine, campaign)

    def opted_out_among(self, channel: Channel, recipients: Sequence[str]) -> frozenset[str]:
        """Return those recipients that have opted out of a channel."""
        with reading(self.engine) as connection:
            return loading.opted_out_among(connection, channel.value, recipients)

    def suppress(self, channel: Channel, recipients: Sequence[str], by: By) -> int:
        """Record that recipients opted out now, and return how many had not before."""
        return self.record_opt_outs(
            [
                OptOut(channel=channel, recipient=Recipient(each), reason=by.reason, opted_out_at=by.now)
                for each in recipients
            ],
            by,
        )

    def record_opt_outs(self, opt_outs: Sequence[OptOut], by: By) -> int:
        """Record opt-outs with their own dates and reasons, and return how many are new."""
        with transaction(self.engine) as connection:
            return suppressions.record(connection, opt_outs, by)

    def unsuppress(self, channel: Channel, recipients: Sequence[str], by: By) -> int:
        """Note that recipients want messages again, and return how many had opted out."""
        with transaction(self.engine) as connection:
            return suppressions.remove(connection, channel, recipients, by)

    def suppressed(
        self, channel: Channel | None, *, after: tuple[str, str] | None, limit: int
    ) -> list[suppressions.Suppression]:
        """Return who opted out, in the order of channel and number."""
        with reading(self.engine) as connection:
            return suppressions.listed(connection, channel, after=after, limit=limit)
