"""`dispatcher prune`: take number and words out of what is old, and remove what is older still."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.cli.confirm import confirm
from dispatcher.cli.exits import Exit, WrongUsage
from dispatcher.cli.options import AsJson, Why
from dispatcher.cli.session import actor, open_ledger
from dispatcher.domain.retention import LONGEST_DAYS, Ages, Pruned
from dispatcher.domain.words import counted

if TYPE_CHECKING:
    from dispatcher.admin import Pruning
    from dispatcher.settings import Settings


def prune(
    *,
    redact_after: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", min=0, max=LONGEST_DAYS, help="Instead of DISPATCHER_REDACT_AFTER; 0 redacts nothing."
        ),
    ] = None,
    remove_after: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", min=0, max=LONGEST_DAYS, help="Instead of DISPATCHER_REMOVE_AFTER; 0 removes nothing."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Change so many messages at the most.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="RATE", help="No faster than 500/s; else half of the time is left.")
    ] = None,
    reason: Why = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take number, text, note and answers out of old messages, and remove those that are older still.

    An age counts from when a message was settled. What waits, is under way or is in doubt is never touched; a gift that
    was given up and may have been carried out is redacted and never removed. There is no way back.

    It works in small steps while traffic runs. End it or kill it whenever you like: the next run goes on.

    Examples:
      dispatcher prune --dry-run
      dispatcher prune --yes
      dispatcher prune --redact-after 7 --remove-after 0 --limit 100000 --yes
    """
    from dispatcher.cli import screen

    with open_ledger() as services:
        ages = _ages(services.settings, redact_after, remove_after)
        pace = _per_second(rate)
        pruning = services.pruning(actor())
        ended = None
        if dry_run:
            done = pruning.foresee(ages)
        else:
            _confirm(ages, yes=yes, as_json=as_json)
            done, ended = _carry_out(pruning, ages, reason=reason, limit=limit, per_second=pace)
    if as_json:
        screen.print_json(_document(ages, done, dry_run=dry_run, interrupted=ended is not None))
    else:
        screen.say(_told(done, dry_run=dry_run, interrupted=ended is not None))
    if ended is not None or not done.total:
        raise typer.Exit(ended or Exit.NOTHING_MATCHED)


def _ages(settings: Settings, redact_after: int | None, remove_after: int | None) -> Ages:
    redact_days = settings.redact_after if redact_after is None else redact_after
    remove_days = settings.remove_after if remove_after is None else remove_after
    if not redact_days and not remove_days:
        raise WrongUsage("both ages are 0, which means never: give --redact-after or --remove-after a number of days")
    try:
        return Ages(redact_days=redact_days, remove_days=remove_days)
    except ValueError as wrong:
        raise WrongUsage(f"--redact-after, --remove-after: {wrong}") from None


def _per_second(rate: str | None) -> float | None:
    from dispatcher.domain.rate import parse_rate

    try:
        return None if rate is None else parse_rate(rate).per_second
    except ValueError as wrong:
        raise WrongUsage(f"--rate: {wrong}") from None


def _confirm(ages: Ages, *, yes: bool, as_json: bool) -> None:
    """Ask before anything is removed for good; raises as ``confirm`` does."""
    wanted = (("redact", ages.redact_days), ("remove", ages.remove_days))
    what = " and ".join(f"{does} what was settled {days} days ago or earlier" for does, days in wanted if days)
    confirm(f"{what.capitalize()}, for good?", yes=yes, as_json=as_json, declined="nothing was redacted or removed")


def _carry_out(
    pruning: Pruning, ages: Ages, *, reason: str | None, limit: int | None, per_second: float | None
) -> tuple[Pruned, Exit | None]:
    """Prune before one's eyes; return what it came to, and how it ended if somebody ended it."""
    from dispatcher.cli import screen

    done, shown_at = Pruned(), 0.0
    try:
        for done in pruning.run(ages, reason=reason, limit=limit, per_second=per_second):
            if sys.stderr.isatty() and time.monotonic() - shown_at > 1:
                shown_at = time.monotonic()
                screen.remark(f"{done.redacted:,} redacted, {done.removed:,} removed")
    except KeyboardInterrupt:  # the step that was under way is undone; those before it have committed
        return done, Exit.INTERRUPTED
    return done, None


def _told(done: Pruned, *, dry_run: bool, interrupted: bool) -> str:
    if dry_run:
        return f"{counted(done.redacted, 'message')} would be redacted, {done.removed:,} removed."
    if interrupted:
        return f"Stopped: {done.redacted:,} redacted, {done.removed:,} removed so far; the next run goes on."
    if not done.total:
        return "Nothing is old enough to be redacted or removed."
    return f"{counted(done.redacted, 'message')} redacted, {done.removed:,} removed."


def _document(ages: Ages, done: Pruned, *, dry_run: bool, interrupted: bool) -> dict[str, Any]:
    return {
        "redact_after_days": ages.redact_days,
        "remove_after_days": ages.remove_days,
        "dry_run": dry_run,
        "redacted": done.redacted,
        "removed": done.removed,
        "interrupted": interrupted,
    }
