"""The story of one message as a single lane from its first moment to now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dispatcher.admin import TimelineEvent, build_timeline
from dispatcher.cli import screen, shown
from dispatcher.cli.when import at, in_words
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.segments import segments
from dispatcher.domain.state import State
from dispatcher.ledger import Attempt, AuditEntry, Hold, Message

_SAID = 250
"""Up to so many characters an answer says no more than its error and description."""
_ANSWER_SHOWN = 300
"""Characters of an answer that the lane has room for; JSON has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message with everything that happened to it."""

    message: Message
    attempts: Sequence[Attempt]
    audit: Sequence[AuditEntry]
    now: datetime
    hold: Hold | None = None

    @property
    def chapters(self) -> list[TimelineEvent]:
        """What happened, in order."""
        return build_timeline(self.message, list(self.attempts), list(self.audit), now=self.now, hold=self.hold)


def document(story: Story, *, reveal: bool) -> dict[str, Any]:
    """Return the story for JSON: the message, the chapters as told, and the calls and acts behind them."""
    return {
        "message": shown.document(story.message, reveal=reveal),
        "story": [
            {"at": each.at, "title": each.title, "detail": each.detail, "took_s": each.took} for each in story.chapters
        ],
        "attempts": [{name: getattr(each, name) for name in Attempt.__dataclass_fields__} for each in story.attempts],
        "audit": [_entry(each, reveal=reveal) for each in story.audit],
    }


def _entry(entry: AuditEntry, *, reveal: bool) -> dict[str, Any]:
    """Return what somebody did; what a message was before it was edited only if it may be seen."""
    details = {name: value for name, value in entry.details.items() if reveal or name != "was"}
    return {name: getattr(entry, name) for name in AuditEntry.__dataclass_fields__} | {"details": details}


def show(story: Story, *, reveal: bool) -> None:
    """Print the story for people."""
    message = story.message
    title = Text(shown.what(message, reveal=reveal), style="bold").append(": ").append_text(shown.named(message.state))
    screen.show(title, screen.facts(list(_about(message, reveal=reveal))), "", _lane(story, screen.paper()))
    for line in _advice(message):
        screen.say(line)


def _about(message: Message, *, reveal: bool) -> Iterator[tuple[str, str | Text]]:
    yield "id", str(message.id)
    yield "from", f"{message.source}, {message.priority.value}"
    if message.idempotency_key:
        yield "key", screen.inert(message.idempotency_key)
    if message.tags:
        yield "tags", screen.inert(" ".join(message.tags))
    if message.redacted_at is not None:
        yield "redacted", f"{at(message.redacted_at)}: number, words and answers were taken out"
    elif message.body is not None:
        yield "text", _text(message.body, reveal=reveal)
    if message.gift is not None and message.gift.note:
        note = message.gift.note
        yield "note", screen.inert_lines(note) if reveal else f"{len(note)} characters (--reveal shows them)"
    yield "calls", f"{message.attempts_made} of {message.max_attempts} attempts spent"
    if message.provider_id:
        yield "provider id", screen.inert(message.provider_id)


def _text(body: str, *, reveal: bool) -> str:
    counted = segments(body)
    parts = "1 part" if counted.parts == 1 else f"{counted.parts} parts"
    size = f"{len(body)} characters, {parts} in {counted.encoding.value}"
    return f"{screen.inert_lines(body)}\n({size})" if reveal else f"{size} (--reveal shows them)"


def _lane(story: Story, paper: Console) -> Table:
    """Draw the lane: the moment, a knot for each thing that happened, and what it was."""
    calls = {(call.started_at, f"call {call.number}"): call for call in story.attempts}
    lane = Table.grid(padding=(0, 1, 0, 0))
    lane.add_column(style="dim", no_wrap=True, width=len("12:00:00.000"))
    lane.add_column(no_wrap=True, width=1)
    lane.add_column(no_wrap=True)
    room = paper.width - len("12:00:00.000 │ ") - 1
    day = None
    for left, chapter in zip(reversed(range(len(story.chapters))), story.chapters, strict=True):
        call = calls.get((chapter.at, chapter.title.split(":")[0].split(" (")[0]))
        if chapter.at.date() != day:
            lane.add_row("", "" if day is None else "│", Text(f"{chapter.at:%A, %d %B %Y}, UTC", style="dim"))
            day = chapter.at.date()
        moment = f"{chapter.at:%H:%M:%S}.{chapter.at.microsecond // 1000:03}"
        lines = _told(chapter, call).wrap(paper, room)
        mark = "○" if chapter.took is not None and call is None else "●"
        knots = [mark, *["│" if left else " "] * (len(lines) - 1)]
        lane.add_row(moment, "\n".join(knots), Text("\n").join(lines))
    return lane


def _told(chapter: TimelineEvent, call: Attempt | None) -> Text:
    told = Text(screen.inert(chapter.title), style="bold")
    if chapter.took is not None:
        told.append(f"  {in_words(chapter.took)}", style="not bold cyan")
    heard, why = chapter.detail, None
    if call is not None and call.why_next:
        heard, why = (chapter.detail or "").removesuffix(call.why_next).removesuffix("; "), call.why_next
    if heard:
        told.append(f"\n{screen.inert(heard)}", style="not bold")
    if call is not None and _adds_something(call):
        told.append(f"\nanswered {screen.inert(_cut(call.response or ''))}", style="not bold dim")
    if chapter.request_ids:
        told.append(f"\n{screen.inert(chapter.request_ids)}", style="not bold dim")
    if why:
        told.append(f"\n→ {screen.inert(why)}", style="not bold")
    return told


def _adds_something(call: Attempt) -> bool:
    """Whether the answer says more of a failure than its error and description."""
    if call.outcome is OutcomeKind.ACCEPTED or not call.response:
        return False
    return call.error_description is None or call.error_description not in call.response or len(call.response) > _SAID


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _ANSWER_SHOWN else f"{one[:_ANSWER_SHOWN]}… ({len(text)} characters, --json has all)"


def _advice(message: Message) -> Iterator[str]:
    """Say what a person can do about it, commands on lines of their own."""
    match message.state:
        case State.IN_DOUBT:
            yield from ("", "Ask the provider whether it was carried out, then answer for it:")
            yield f"  dispatcher in-doubt resolve {message.id} --sent|--not-sent|--give-up --reason TEXT"
        case State.DEAD | State.EXPIRED if message.redacted_at is None:
            yield from ("", "To send it after all:", f"  dispatcher dead replay {message.id}")
        case State.QUEUED:
            yield from ("", "To call it off:", f"  dispatcher messages cancel {message.id}")
        case _:
            return
