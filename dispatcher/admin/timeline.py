"""The story of one message, in order: what happened, how long each wait took and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Attempt, AuditEntry, Hold, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One thing that happened."""

    at: datetime
    title: str
    detail: str | None = None
    took: timedelta | None = None
    request_ids: str | None = None
    """By which the provider finds a call again, as ``name value, name value``."""


def build_timeline(
    message: Message, attempts: list[Attempt], audit: list[AuditEntry], *, now: datetime, hold: Hold | None = None
) -> list[TimelineEvent]:
    """Tell what became of a message from its first moment to now.

    :param hold: what holds it back beside its own due time, if it is queued.
    """
    chapters = [
        TimelineEvent(at=message.created_at, title=f"enqueued by {message.source}", detail=_wanted(message, hold))
    ]
    chapters += [
        TimelineEvent(at=entry.at, title=f"{entry.action} by {entry.actor}", detail=entry.reason) for entry in audit
    ]
    due = message.created_at
    if attempts and due < message.due_at <= attempts[0].started_at:  # never put off since, so it was scheduled for then
        chapters.append(TimelineEvent(at=due, title="waited until it was due", took=message.due_at - due))
        due = message.due_at
    for attempt in attempts:
        again = [entry.at for entry in audit if due < entry.at <= attempt.started_at and _queues_again(entry)]
        chapters += _attempt(attempt, due=max([due, *again]))
        due = attempt.next_due_at or attempt.finished_at
    if message.redacted_at is not None:
        words = "number, words and answers were taken out, since it was old"
        chapters.append(TimelineEvent(at=message.redacted_at, title="was redacted", detail=words))
    chapters.sort(key=lambda chapter: chapter.at)
    return [*chapters, *_ending(message, hold, now)]


def _queues_again(entry: AuditEntry) -> bool:
    return entry.action in ("replay", "edit and replay", "resolve not-sent")


def _wanted(message: Message, hold: Hold | None) -> str:
    words = [f"{message.priority.value} {message.channel.value}"]
    if message.campaign_id is not None and hold is not None and hold.campaign is not None:
        words.append(f"campaign {hold.campaign.name}")
    if message.due_at > message.created_at and message.attempts_made == 0:
        words.append(f"due {_clock(message.due_at)}")
    words.append(f"expires {_clock(message.expires_at)}")
    return ", ".join(words)


def _attempt(attempt: Attempt, *, due: datetime) -> Iterator[TimelineEvent]:
    waited = attempt.started_at - due
    if waited > timedelta(milliseconds=100) and attempt.error != "lease_lost":
        yield TimelineEvent(
            at=due,
            title="waited for its turn",
            detail="rate limit, pause or others before it",
            took=waited,
        )
    asked = "" if attempt.trigger is Trigger.AUTO else f" ({attempt.trigger.value})"
    heard = " ".join(
        str(part) for part in (attempt.http_status, attempt.error, attempt.error_description) if part is not None
    )
    yield TimelineEvent(
        at=attempt.started_at,
        title=f"call {attempt.number}{asked}: {_named(attempt.outcome)}",
        detail=f"{heard}; {attempt.why_next}" if heard else attempt.why_next,
        took=timedelta(milliseconds=attempt.latency_ms),
        request_ids=", ".join(f"{name} {value}" for name, value in (attempt.request_ids or {}).items()) or None,
    )


def _ending(message: Message, hold: Hold | None, now: datetime) -> Iterator[TimelineEvent]:
    match message.state:
        case State.QUEUED if message.due_at > now:
            yield TimelineEvent(at=now, title=f"waits until {_clock(message.due_at)}", took=message.due_at - now)
        case State.QUEUED if hold is not None and (why := _held(hold, now)) is not None:
            yield TimelineEvent(at=now, title=f"waits: {why}", took=now - message.due_at)
        case State.QUEUED:
            yield TimelineEvent(at=now, title="is due and waits for its turn", took=now - message.due_at)
        case State.SENDING:
            yield TimelineEvent(at=now, title="is being sent")
        case State.EXPIRED:
            yield TimelineEvent(at=message.updated_at, title="expired", detail=message.last_error)
        case State.ACCEPTED | State.DELIVERED | State.UNDELIVERED | State.DEAD | State.IN_DOUBT:
            yield TimelineEvent(at=message.updated_at, title=f"is {_named(message.state)}")
        case State.CANCELLED | State.SUPPRESSED:
            yield TimelineEvent(at=message.updated_at, title=f"was {message.state.value}", detail=message.last_error)


def _held(hold: Hold, now: datetime) -> str | None:
    """Say what a message that is due waits for."""
    campaign = hold.campaign
    if campaign is not None:
        match campaign.state:
            case CampaignState.DRAFT:
                return "its campaign has not been started"
            case CampaignState.SCHEDULED if campaign.starts_at is not None:
                return f"its campaign starts at {_clock(campaign.starts_at)}"
            case CampaignState.PAUSED:
                until = "" if campaign.paused_until is None else f" until {_clock(campaign.paused_until)}"
                return f"its campaign is paused{until} by {campaign.paused_by}: {campaign.pause_reason}"
            case CampaignState.CANCELLED:
                return "its campaign was cancelled, so it will be called off"
            case _:
                pass
        if campaign.opens_at is not None and campaign.closes_at is not None:
            if campaign.opens_at > now:
                return f"outside its send window ({campaign.window}), which opens at {_clock(campaign.opens_at)}"
            if campaign.closes_at <= now:
                return f"outside its send window ({campaign.window})"
    if hold.pause is not None:
        until = "" if hold.pause.until is None else f" until {_clock(hold.pause.until)}"
        return f"the channel is paused{until} by {hold.pause.by}: {hold.pause.reason}"
    if campaign is not None and campaign.rate is not None:
        return f"its turn; its campaign sends at {campaign.rate} at the most"
    return None


def _named(value: State | OutcomeKind) -> str:
    return value.value.replace("_", " ")


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
