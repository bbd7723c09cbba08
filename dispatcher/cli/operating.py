"""Bulk operations on the screen and in JSON: the plan, carrying it out before one's eyes, and how it stands."""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta
from typing import Any

import typer
from rich.text import Text

from dispatcher.cli import screen, shown
from dispatcher.cli.exits import Refused, WrongUsage
from dispatcher.cli.when import at, in_words, parse_moment
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.rate import parse_rate
from dispatcher.domain.state import State
from dispatcher.inspection import Desk, Plan, Standing
from dispatcher.ledger import Operation

_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DOES = {Deed.REPLAY: "send again", Deed.DISCARD: "put away"}
_DONE = {Deed.REPLAY: "queued again", Deed.DISCARD: "put away"}


def pace(desk: Desk, *, at: str | None, spread: str | None, rate: str | None, canary: int) -> Pace:
    """Read at what pace an operation is to go."""
    moment = parse_moment(at, field="at", now=desk.clock.now())
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


def agree(plan: Plan, *, yes: bool, as_json: bool) -> None:
    """Ask before more than one message is changed.

    :raises Refused: the answer is no, or nobody can be asked.
    """
    count = plan.forecast.total
    if yes or count == 1:
        return
    done = {Deed.REPLAY: "sent again", Deed.DISCARD: "put away"}[plan.kind]
    if as_json or not sys.stdin.isatty():
        raise Refused(f"{count} messages would be {done} and nobody can be asked here: add --yes if you mean it")
    question = {Deed.REPLAY: f"Send these {count:,} again?", Deed.DISCARD: f"Put these {count:,} away?"}[plan.kind]
    if not typer.confirm(question, err=True):
        raise Refused(f"nothing was {'replayed' if plan.kind is Deed.REPLAY else 'put away'}")


def carry_out(desk: Desk, operation: Operation, *, detach: bool, as_json: bool) -> Standing:
    """Carry an operation out before one's eyes, unless it is to be left to the clock; return how it stands."""
    shown_at = 0.0
    while not detach:
        changed = desk.drive(operation.id)
        standing = desk.standing(operation.id)
        if standing.operation.state is not Stage.RUNNING:
            break
        if not as_json and sys.stderr.isatty() and time.monotonic() - shown_at > 1:
            shown_at = time.monotonic()
            screen.remark(f"{standing.operation.done:,} of {standing.operation.total:,}")
        if not changed:
            time.sleep(0.5)  # its pace or its canary holds it; the clock goes on if this command is ended
    return desk.standing(operation.id)


def told(standing: Standing) -> str:
    """Say in a line what came of an operation."""
    operation = standing.operation
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


def document(standing: Standing) -> dict[str, Any]:
    """Return an operation for JSON."""
    operation = standing.operation
    return {
        "id": operation.id,
        "deed": operation.kind,
        "state": operation.state,
        "query": operation.query,
        "frozen_at": operation.frozen_at,
        "total": operation.total,
        "done": operation.done,
        "skipped": operation.skipped,
        "outcomes": {state.value: count for state, count in standing.outcomes.items()},
        "failed_again": standing.failed_again,
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


def show(standing: Standing) -> None:
    """Print how an operation stands."""
    operation = standing.operation
    head = Text(f"{operation.kind.value} of {operation.total:,} messages: ", style="bold")
    screen.show(head.append(operation.state.value, style="cyan" if operation.state is Stage.RUNNING else ""))
    rows: list[tuple[str, str | Text]] = [("query", screen.inert(operation.query) or "everything given up")]
    rows += [("done", f"{operation.done:,}, {operation.skipped:,} skipped since somebody was faster")]
    rows += [
        (state.value.replace("_", " "), Text(f"{count:,}", style=shown.named(state).style))
        for state, count in sorted(standing.outcomes.items())
        if state is not State.SENDING
    ]
    rows += [("by", f"{screen.inert(operation.actor)}, {at(operation.created_at)}")]
    rows += [("reason", screen.inert(operation.reason))] if operation.reason else []
    rows += [("note", screen.inert(operation.note))] if operation.note else []
    rows += [("id", str(operation.id))]
    screen.show(screen.facts(rows, indent=1))


def _capped(count: int) -> str:
    return f"{count:,}" if count <= 10_000 else "10,000+"
