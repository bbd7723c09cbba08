"""Bulk operations on the screen and in JSON: the plan, carrying it out before one's eyes, and how it stands."""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta
from typing import Any

from rich.text import Text

from dispatcher.admin import OperationProgress, OperatorService, Plan
from dispatcher.cli import screen, shown
from dispatcher.cli.confirm import confirm
from dispatcher.cli.exits import WrongUsage
from dispatcher.cli.when import at, in_words, parse_moment
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.rate import parse_rate
from dispatcher.domain.state import State
from dispatcher.ledger import Operation

_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DOES = {Deed.REPLAY: "send again", Deed.DISCARD: "put away"}
_DONE = {Deed.REPLAY: "queued again", Deed.DISCARD: "put away"}


def pace(operator: OperatorService, *, at: str | None, spread: str | None, rate: str | None, canary: int) -> Pace:
    """Read at what pace an operation is to go."""
    moment = parse_moment(at, field="at", now=operator.clock.now())
    try:
        per_second = None if rate is None else parse_rate(rate).per_second
    except ValueError as wrong:
        raise WrongUsage(f"--rate: {wrong}") from None
    return Pace(at=moment, spread=None if spread is None else _span(spread), per_second=per_second, canary=canary)


def _span(text: str) -> timedelta:
    found = _SPAN.match(text.strip().removeprefix("+"))
    if found is None or int(found[1]) == 0:
        raise WrongUsage(f"--spread: {text!r} is not a span; write it as 30m or 2h")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def show_plan(plan: Plan) -> None:
    """Print what an operation would come to."""
    does = _DOES[plan.kind]
    for each in plan.forecast.sums:
        worth = " + ".join(f"{currency} {amount}" for currency, amount in sorted(each.money.items()))
        money = f", worth {worth}" if worth else ""
        screen.say(f"  {does}  {each.count:,} {each.channel.value}: {each.safety.value.replace('_', ' ')}{money}")
    for why, count in plan.forecast.left_out.items():
        screen.say(f"  leave out   {_capped(count)}: {why}")
    if plan.takes is not None and plan.forecast.total:
        screen.say(f"  takes       {in_words(plan.takes)} at the present rate")


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan for JSON."""
    return {
        "deed": plan.kind,
        "query": plan.query.text,
        "planned": plan.forecast.total,
        "by_safety": [
            {"channel": each.channel, "safety": each.safety, "messages": each.count, "money": each.money}
            for each in plan.forecast.sums
        ],
        "money": plan.forecast.money,
        "left_out": [{"why": why, "messages": count} for why, count in plan.forecast.left_out.items()],
        "takes_s": plan.takes,
    }


def confirm_plan(plan: Plan, *, yes: bool, as_json: bool) -> None:
    """Ask before more than one message is changed; raises as ``confirm`` does."""
    count = plan.forecast.total
    question, declined = {
        Deed.REPLAY: (f"Send these {count:,} again?", "nothing was replayed"),
        Deed.DISCARD: (f"Put these {count:,} away?", "nothing was put away"),
    }[plan.kind]
    confirm(question, yes=yes or count == 1, as_json=as_json, declined=declined)


def carry_out(operator: OperatorService, operation: Operation, *, detach: bool, as_json: bool) -> OperationProgress:
    """Carry an operation out before one's eyes, unless it is to be left to the clock; return how it stands."""
    shown_at = 0.0
    while not detach:
        changed = operator.drive(operation.id)
        progress = operator.progress(operation.id)
        if progress.operation.state is not Stage.RUNNING:
            break
        if not as_json and sys.stderr.isatty() and time.monotonic() - shown_at > 1:
            shown_at = time.monotonic()
            screen.remark(f"{progress.operation.done:,} of {progress.operation.total:,}")
        if not changed:
            time.sleep(0.5)  # its pace or its canary holds it; the clock goes on if this command is ended
    return operator.progress(operation.id)


def told(progress: OperationProgress) -> str:
    """Say in a line what came of an operation."""
    operation = progress.operation
    done = f"{operation.done:,} {_DONE[operation.kind]}"
    match operation.state:
        case Stage.DONE:
            return f"{done}."
        case Stage.STOPPED | Stage.ABORTED:
            return f"{done}, then {operation.note or operation.state.value}."
        case _:
            return (
                f"{done} of {operation.total:,}; the clock goes on with it: dispatcher operations show {operation.id}"
            )


def document(progress: OperationProgress) -> dict[str, Any]:
    """Return an operation for JSON."""
    operation = progress.operation
    return {
        "id": operation.id,
        "deed": operation.kind,
        "state": operation.state,
        "query": operation.query,
        "frozen_at": operation.frozen_at,
        "total": operation.total,
        "done": operation.done,
        "skipped": operation.skipped,
        "outcomes": {state.value: count for state, count in progress.outcomes.items()},
        "failed_again": progress.failed_again,
        "at": operation.pace.at,
        "spread_s": operation.pace.spread,
        "per_second": operation.pace.per_second,
        "canary": operation.pace.canary,
        "actor": operation.actor,
        "reason": operation.reason,
        "note": operation.note,
        "created_at": operation.created_at,
        "finished_at": operation.finished_at,
    }


def show(progress: OperationProgress) -> None:
    """Print how an operation stands."""
    operation = progress.operation
    head = Text(f"{operation.kind.value} of {operation.total:,} messages: ", style="bold")
    screen.show(head.append(operation.state.value, style="cyan" if operation.state is Stage.RUNNING else ""))
    rows: list[tuple[str, str | Text]] = [("query", screen.inert(operation.query) or "everything given up")]
    rows += [("done", f"{operation.done:,}, {operation.skipped:,} skipped since somebody was faster")]
    rows += [
        (state.value.replace("_", " "), Text(f"{count:,}", style=shown.named(state).style))
        for state, count in sorted(progress.outcomes.items())
        if state is not State.SENDING
    ]
    rows += [("by", f"{screen.inert(operation.actor)}, {at(operation.created_at)}")]
    rows += [("reason", screen.inert(operation.reason))] if operation.reason else []
    rows += [("note", screen.inert(operation.note))] if operation.note else []
    rows += [("id", str(operation.id))]
    screen.show(screen.facts(rows, indent=1))


def _capped(count: int) -> str:
    return f"{count:,}" if count <= 10_000 else "10,000+"
