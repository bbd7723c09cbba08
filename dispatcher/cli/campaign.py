"""`dispatcher campaign`: a file of recipients becomes a burst; start it, stop it, see how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import campaign_options as given
from dispatcher.cli.confirm import confirm
from dispatcher.cli.exits import Exit, WrongUsage
from dispatcher.cli.noun import noun
from dispatcher.cli.options import MOMENT, AsJson, Limit, Why
from dispatcher.cli.session import actor, open_ledger, stated
from dispatcher.cli.when import at as written
from dispatcher.cli.when import parse_moment
from dispatcher.domain.message import Channel
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.words import counted

if TYPE_CHECKING:
    from dispatcher.ledger import Campaign

campaign = noun("Make a burst of a file of recipients, start and stop it, see how far it is.")

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")]


@campaign.command()
def create(
    *,
    file: given.File,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Unlike any other's; the file's name if left out.")
    ] = None,
    channel: given.OfChannel = Channel.SMS,
    template: given.TemplateText = None,
    starts_at: given.StartsAt = None,
    expires_at: given.ExpiresAt = None,
    window: given.Window = None,
    rate: given.RateText = None,
    budget: given.BudgetText = None,
    sku: given.Sku = None,
    amount: given.Amount = None,
    currency: given.Currency = None,
    region: given.Region = None,
    columns: given.Map = None,
    encoding: given.Encoding = None,
    delimiter: given.Delimiter = None,
    invalid_to: given.InvalidTo = None,
    as_json: AsJson = False,
) -> None:
    """Take the recipients in. With --starts-at it then starts by itself, else at `campaign start`.

    Rows that are invalid, doubled or opted out are left out and counted. Interrupted, the same command goes on where
    it was; run again after that, it changes nothing, since the name is the campaign's key.

    Examples:
      dispatcher campaign create spring.csv --template "Hi {first_name|there}, 20 % off until Sunday" --starts-at +10m
      dispatcher campaign create winners.csv --channel gift --sku COFFEE --amount 5 --currency AUD --budget 12345.00
    """
    from dispatcher.cli import campaign_screen, intake_screen

    named = name if name is not None else "" if str(file) == "-" else file.stem
    if not named.strip():
        raise WrongUsage("--name: is needed, and not blank, where the file has no name to take")
    with (
        open_ledger() as services,
        intake_screen.readable(file) as path,
        intake_screen.invalid_rows(invalid_to, of=path) as rows,
    ):
        wanted = given.wanted(
            services.clock.now(),
            channel=channel,
            template=template,
            starts_at=starts_at,
            expires_at=expires_at,
            window=window,
            rate=rate,
            budget=budget,
            sku=sku,
            amount=amount,
            currency=currency,
            region=region,
            columns=columns,
        )
        with intake_screen.bar("Taking in") as on_progress:
            created = services.campaigns(actor()).create(
                path,
                name=named,
                encoding=encoding,
                delimiter=delimiter,
                on_progress=on_progress,
                on_invalid=rows,
                **wanted,
            )
        if as_json:
            intake_screen.print_created(created)
        else:
            intake_screen.show_created(created, invalid_to=invalid_to)
            campaign_screen.what_next(created.campaign, now=services.clock.now())


@campaign.command("dry-run")
def dry_run(
    *,
    file: given.File,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Only for the report.")] = "dry run",
    channel: given.OfChannel = Channel.SMS,
    template: given.TemplateText = None,
    starts_at: given.StartsAt = None,
    expires_at: given.ExpiresAt = None,
    window: given.Window = None,
    rate: given.RateText = None,
    budget: given.BudgetText = None,
    sku: given.Sku = None,
    amount: given.Amount = None,
    currency: given.Currency = None,
    region: given.Region = None,
    columns: given.Map = None,
    encoding: given.Encoding = None,
    delimiter: given.Delimiter = None,
    invalid_to: given.InvalidTo = None,
    as_json: AsJson = False,
) -> None:
    """Say what `campaign create` with the same options would come to. Nothing is written.

    Recipients, invalid rows with their lines and reasons, duplicates, opted-out, SMS parts and the characters that
    force the dearer encoding, money, how long it takes at the present rate, and three messages as they would arrive.

    Example:
      dispatcher campaign dry-run spring.csv --template "Hi {first_name}" --window 09:00-20:00 --invalid-to bad.csv
    """
    from dispatcher.cli import dry_run_screen, intake_screen

    with (
        open_ledger() as services,
        intake_screen.readable(file) as path,
        intake_screen.invalid_rows(invalid_to, of=path) as rows,
    ):
        wanted = given.wanted(
            services.clock.now(),
            channel=channel,
            template=template,
            starts_at=starts_at,
            expires_at=expires_at,
            window=window,
            rate=rate,
            budget=budget,
            sku=sku,
            amount=amount,
            currency=currency,
            region=region,
            columns=columns,
        )
        with intake_screen.bar("Reading") as on_progress:
            report = services.campaigns(actor()).dry_run(
                path,
                name=name,
                encoding=encoding,
                delimiter=delimiter,
                on_progress=on_progress,
                on_invalid=rows,
                **wanted,
            )
    if as_json:
        dry_run_screen.print_report(report)
    else:
        dry_run_screen.show(report, invalid_to=invalid_to)


@campaign.command("list")
def list_(
    *,
    state: Annotated[
        list[CampaignState] | None,
        typer.Option("--state", help="Only in this state; may be repeated.", case_sensitive=False),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List campaigns, newest first."""
    from dispatcher.cli import campaign_screen, screen

    with open_ledger() as services:
        books, now = services.campaign_books, services.clock.now()
        found = books.listed(states=tuple(state or ()), limit=limit)
        ids = [each.id for each in found]
        closed = {each.campaign: each for each in (books.closed(now=now, campaigns=ids) if ids else ())}
    if as_json:
        screen.print_json(campaign_screen.list_document(found, closed))
    elif found:
        campaign_screen.show_list(found, closed, now=now)
    else:
        screen.say("No campaign matches.")
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@campaign.command()
def show(
    campaign: given.Which,
    follow: Annotated[bool, typer.Option("--follow", help="Stay and show it again until it is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a campaign is: counts from the ledger, its rate now, when it will be over, what failed and why."""
    from dispatcher.cli import campaign_screen, screen

    with open_ledger() as services:
        campaigns = services.campaigns(actor())
        if follow and not as_json:
            campaign_screen.follow(lambda: campaigns.progress(campaign))
            return
        progress = campaigns.progress(campaign)
    if as_json:
        screen.print_json(campaign_screen.progress_document(progress))
    else:
        campaign_screen.show(progress)


@campaign.command()
def start(
    campaign: given.Which,
    at: Annotated[str | None, typer.Option("--at", metavar="WHEN", help=f"Not now but then: {MOMENT}")] = None,
    reason: Why = None,
    as_json: AsJson = False,
) -> None:
    """Start a draft or a scheduled campaign, now or at a moment to come."""
    with open_ledger() as services:
        moment = parse_moment(at, field="at", now=services.clock.now())
        started = services.campaigns(actor()).start(campaign, at=moment, reason=reason)
    _report(started, f"{_goes(started)}: {counted(started.total, 'recipient')}.", as_json=as_json)


@campaign.command()
def pause(
    campaign: given.Which,
    reason: Why = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Go on by itself then, e.g. +2h; else at `resume`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stop a campaign, everywhere, at the next claim. What is under way lands; nothing is lost."""
    why = None if reason is None else stated(reason)
    with open_ledger() as services:
        moment = parse_moment(until, field="until", now=services.clock.now())
        paused = services.campaigns(actor()).pause(campaign, reason=why, until=moment)
    ending = f"until {written(moment)}" if moment else f"until `dispatcher campaign resume {paused.id}`"
    _report(paused, f"is paused {ending}.", as_json=as_json)


@campaign.command()
def resume(campaign: given.Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Go on with exactly those that have not been sent."""
    with open_ledger() as services:
        resumed = services.campaigns(actor()).resume(campaign, reason=reason)
    _report(resumed, f"{_goes(resumed)} again.", as_json=as_json)


@campaign.command()
def cancel(campaign: given.Which, reason: Why = None, yes: _Yes = False, as_json: AsJson = False) -> None:
    """Never send another one. What is under way lands. This cannot be undone."""
    with open_ledger() as services:
        campaigns = services.campaigns(actor())
        progress = campaigns.progress(campaign)
        waiting = progress.count(State.QUEUED)
        if not progress.campaign.state.over:
            question = f"Call off {progress.campaign.name!r}, with {counted(waiting, 'recipient')} who got nothing yet?"
            confirm(question, yes=yes or not waiting, as_json=as_json, declined="nothing was cancelled")
        cancelled = campaigns.cancel(campaign, reason=reason)
    _report(cancelled, f"is cancelled: {counted(waiting, 'recipient')} will get nothing.", as_json=as_json)


@campaign.command("retry-failed")
def retry_failed(
    campaign: given.Which,
    reason: Why = None,
    yes: _Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send to those whose message is dead or expired again, with fresh attempts.

    Never to those in doubt: a person resolves each of them, with `dispatcher in-doubt resolve`. Run twice, it sends
    once. A finished campaign runs again until they are settled; one that is paused goes on when it is resumed.
    """
    from dispatcher.cli import screen

    with open_ledger() as services:
        found = services.campaign_books.find(campaign)
        count = services.campaign_books.retryable(found.id)
        retried = 0
        if count and not dry_run:
            question = f"Send {counted(count, 'message')} of {found.name!r} again?"
            confirm(question, yes=yes or count == 1, as_json=as_json, declined="nothing was replayed")
            found, retried = services.campaigns(actor()).retry_failed(found.id, reason=reason)
    if as_json:
        screen.print_json({"id": found.id, "failed": count, "queued_again": retried, "dry_run": dry_run})
    elif not count:
        screen.say(f"{found.name}: nothing is dead or expired.")
    else:
        screen.say(f"{found.name}: {count:,} would be queued again." if dry_run else f"{retried:,} queued again.")
    if not count:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@campaign.command()
def export(
    campaign: given.Which,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; standard output if left out.", show_default=False)
    ] = None,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.", case_sensitive=False)
    ] = None,
) -> None:
    """Write who got it, who did not, and why, as CSV. Numbers are whole: that is what it is for.

    Cells that a spreadsheet would run as a formula are written with an apostrophe before them.

    Example:
      dispatcher campaign export spring left.csv --state dead --state expired
    """
    from dispatcher.cli import campaign_export, screen

    with open_ledger() as services:
        deliveries = services.campaigns(actor()).deliveries(campaign)
        wanted = (each for each in deliveries if not state or each.state in state)
        written = campaign_export.write(wanted, file)
        gone = services.campaign_books.find(campaign).removed or {}
    left_out = sum(count for name, count in gone.items() if not state or State(name) in state)
    if left_out:
        screen.remark(f"Without {counted(left_out, 'recipient')} whose messages were removed since they were old.")
    if not written:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _goes(campaign: Campaign) -> str:
    if campaign.state is CampaignState.SCHEDULED and campaign.starts_at is not None:
        return f"starts at {written(campaign.starts_at)}"
    return "runs"


def _report(campaign: Campaign, sentence: str, *, as_json: bool) -> None:
    from dispatcher.cli import campaign_screen, screen

    if as_json:
        screen.print_json(campaign_screen.document(campaign))
    else:
        screen.say(f"{campaign.name} {sentence}")
