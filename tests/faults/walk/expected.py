"""What messages, campaigns and operations must look like, and what truly became of each call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from dispatcher.domain.attempt import Claimed, Trigger
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.operation import Deed
from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY
from dispatcher.domain.state import CAMPAIGN_TRANSITIONS, CampaignState, State

POLICIES = {Channel.SMS: SMS_POLICY, Channel.GIFT: replace(GIFT_POLICY, not_carried_out=frozenset({"503"}))}
BUDGET, DAILY, AMOUNT = 10_000, 7_500, 2_500
"""Of a campaign of gifts, in cents: "100.00 75.00/day", each gift 25.00."""


POISONED = "+61491570008"
"""What is sent to this number never gets through: a firewall refuses it, whatever the channel's state."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One claim of a message by one worker, and what truly became of it at the provider."""

    message: Claimed
    left: bool = False
    carried_out: bool = False
    over: bool = False
    """Nothing more can come of it."""
    denied: bool = False
    """A person said that it was not carried out."""

    @property
    def may_count(self) -> bool:
        """Whether it was or may yet be carried out, and nobody took that upon himself."""
        return not self.denied and (self.carried_out or not self.over)


@dataclass(slots=True, kw_only=True, eq=False)
class Burst:
    """A campaign."""

    id: UUID
    channel: Channel
    state: CampaignState = CampaignState.RUNNING
    finished_at: datetime | None = None
    paused_until: datetime | None = None
    called_off: bool = False
    """It was cancelled, and nothing of it waits any more."""
    spent: int = 0
    spent_that_day: int = 0
    day: str | None = None

    def become(self, state: CampaignState) -> None:
        assert state in CAMPAIGN_TRANSITIONS[self.state], f"a campaign: {self.state} -> {state}"
        self.state = state

    @property
    def budgeted(self) -> bool:
        return self.channel is Channel.GIFT

    def spent_on(self, day: str) -> int:
        return self.spent_that_day if self.day == day else 0

    def affords_next(self, now: datetime) -> bool:
        return self.spent + AMOUNT <= BUDGET and self.spent_on(day_of(now)) + AMOUNT <= DAILY


@dataclass(slots=True, kw_only=True, eq=False)
class Expected:
    """What a message must look like. It has the facts that a decision needs."""

    id: UUID
    channel: Channel
    priority: Priority
    recipient: str
    due_at: datetime
    expires_at: datetime
    max_attempts: int
    updated_at: datetime
    campaign: Burst | None
    state: State = State.QUEUED
    attempts_made: int = 0
    calls_made: int = 0
    doubtful_sends: int = 0
    configuration_answers: int = 0
    answers_at_claim: int = 0
    trigger: Trigger = Trigger.AUTO
    revision: int = 0
    lease: UUID | None = None
    lease_ends: datetime | None = None
    guarded: bool = False
    booked_on: str | None = None
    discarded: bool = False
    attempts: list[UUID] = field(default_factory=list)
    """Their ids by their numbers."""
    calls: list[Call] = field(default_factory=list)
    vouched: bool = False
    """A person said that it was sent."""

    def become(self, state: State, now: datetime) -> None:
        """Make one move of the machine."""
        assert self.state.may_become(state), f"{self.state} -> {state}"
        self.state, self.updated_at = state, now
        if state is not State.SENDING:
            self.lease_ends = None
            if state is not State.IN_DOUBT:
                self.lease = None

    def queue_again(self, now: datetime, *, budget: int, life: timedelta, trigger: Trigger) -> None:
        self.become(State.QUEUED, now)
        self.due_at, self.expires_at = now, now + life
        self.max_attempts = self.attempts_made + budget
        self.trigger, self.discarded = trigger, False
        self.wake_campaign()

    def wake_campaign(self) -> None:
        """Have a campaign that was over look after what waits again."""
        burst = self.campaign
        if burst is not None and burst.state is CampaignState.FINISHED:
            burst.become(CampaignState.RUNNING)
        if burst is not None:
            burst.called_off = False

    def release(self) -> None:
        """Take the guard away: it is certain that it was not carried out."""
        if self.booked_on is not None and self.campaign is not None:
            self.campaign.spent -= AMOUNT
            self.campaign.spent_that_day -= AMOUNT if self.campaign.day == self.booked_on else 0
        self.guarded, self.booked_on = False, None

    @property
    def given_up(self) -> bool:
        return self.state in (State.DEAD, State.EXPIRED) and not self.discarded

    @property
    def of_a_cancelled_one(self) -> bool:
        return self.campaign is not None and self.campaign.state is CampaignState.CANCELLED

    @property
    def replayable(self) -> bool:
        known = self.state in (State.DEAD, State.EXPIRED, State.CANCELLED)
        return known and not self.guarded and not self.of_a_cancelled_one


@dataclass(slots=True, kw_only=True, eq=False)
class Bulk:
    """A bulk operation."""

    id: UUID
    deed: Deed
    channel: Channel | None
    frozen_at: datetime
    total: int
    budget: int
    life: timedelta
    cursor: UUID | None = None
    done: int = 0
    over: bool = False


def day_of(now: datetime) -> str:
    return f"{now:%Y-%m-%d}"
