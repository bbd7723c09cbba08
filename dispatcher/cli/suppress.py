"""`dispatcher suppress`: who opted out of a channel. Every claim looks there, so it counts for what is queued too."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.cli import campaign_options as given
from dispatcher.cli.exits import Exit, complain
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Reveal, Why
from dispatcher.cli.session import by, open_ledger
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel
from dispatcher.domain.words import counted
from dispatcher.private_files import opener

if TYPE_CHECKING:
    from dispatcher.campaigns.opt_outs import Imported

suppress = noun("Note who opted out of a channel; nothing is sent to them, not even what is queued already.")

_Numbers = Annotated[list[str], typer.Argument(metavar="NUMBER...", help="Numbers in E.164.", show_default=False)]
_OfChannel = Annotated[Channel, typer.Option("--channel", help="The channel.")]
_AT_ONCE = 1000


@suppress.command()
def add(numbers: _Numbers, channel: _OfChannel = Channel.SMS, reason: Why = None, as_json: AsJson = False) -> None:
    """Record that recipients opted out. It counts at the next claim, for running campaigns too.

    A number that cannot be read is listed and makes the command fail; the others are recorded.

    Example:
      dispatcher suppress add +61491570006 --reason "STOP on 24 November"
    """
    from dispatcher.campaigns.check import hidden
    from dispatcher.cli import screen
    from dispatcher.domain.recipient import Recipient, parse_recipient

    readable: dict[Recipient, None] = {}
    wrong: list[tuple[int, str, InvalidMessage]] = []
    new = 0
    with open_ledger() as services:
        for place, each in enumerate(numbers, start=1):
            try:
                readable[parse_recipient(each, region=services.intake.region)] = None
            except InvalidMessage as error:
                wrong.append((place, hidden(each), error))
        if readable:
            new = services.campaign_books.suppress(channel, list(readable), by(services, reason))
    if as_json:
        invalid = [{"position": place, "number": number, "reason": unread.problem} for place, number, unread in wrong]
        screen.print_json({"channel": channel, "given": len(readable), "new": new, "invalid": invalid})
    elif readable:
        screen.say(f"{new:,} opted out of {channel.value}; {len(readable) - new:,} had before.")
    for place, _, unread in wrong:
        complain(f"number {place} is not recorded: {unread}")
    if wrong:
        raise typer.Exit(Exit.FAILED if readable else Exit.USAGE)


@suppress.command()
def remove(numbers: _Numbers, channel: _OfChannel = Channel.SMS, reason: Why = None, as_json: AsJson = False) -> None:
    """Note that recipients want messages again. What was suppressed meanwhile stays unsent."""
    from dispatcher.cli import screen
    from dispatcher.domain.recipient import parse_recipient

    with open_ledger() as services:
        checked = list(dict.fromkeys(parse_recipient(each, region=services.intake.region) for each in numbers))
        gone = services.campaign_books.unsuppress(channel, checked, by(services, reason))
    if as_json:
        screen.print_json({"channel": channel, "given": len(checked), "removed": gone})
    else:
        screen.say(f"{gone:,} may get {channel.value} again; {len(checked) - gone:,} had not opted out.")
    if not gone:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@suppress.command("import")
def import_(
    *,
    file: given.File,
    channel: Annotated[
        Channel | None, typer.Option("--channel", help="The channel, unless there is a column `channel`; else sms.")
    ] = None,
    region: given.Region = None,
    columns: given.Map = None,
    encoding: given.Encoding = None,
    delimiter: given.Delimiter = None,
    invalid_to: given.InvalidTo = None,
    reason: Why = None,
    as_json: AsJson = False,
) -> None:
    """Record opt-outs from a CSV file with a column `recipient` (or map one). Run twice, it changes nothing.

    Columns `channel`, `reason` and `opted_out_at` (ISO 8601, UTC unless it has a zone) count where the file has them,
    so the list that `suppress export` wrote is restored with its dates and reasons.

    A line that cannot be read is listed and makes the command fail (exit code 1); all other lines are recorded.

    Example:
      dispatcher suppress import stop.csv --map Mobile=recipient --region AU
    """
    from dispatcher.campaigns.opt_outs import import_opt_outs
    from dispatcher.campaigns.source import open_source
    from dispatcher.cli import intake_screen, screen

    with (
        open_ledger() as services,
        intake_screen.readable(file) as path,
        intake_screen.invalid_rows(invalid_to, of=path) as rows,
        intake_screen.bar("Taking in") as on_progress,
    ):
        done = import_opt_outs(
            open_source(path, encoding=encoding, delimiter=delimiter),
            services.campaign_books,
            channel,
            by(services, reason),
            columns=dict(given.pair(each) for each in columns or ()),
            region=region or services.intake.region,
            on_progress=on_progress,
            on_invalid=rows,
        )
    if as_json:
        screen.print_json(_document(done))
    else:
        _show(done)
    if not done.complete:
        raise typer.Exit(Exit.FAILED)


def _document(done: Imported) -> dict[str, Any]:
    from dispatcher.cli import intake_screen

    return {
        "rows": done.rows,
        "new": done.new,
        "invalid": done.invalid,
        "rewritten": {form.value: rows for form, rows in done.rewritten.most_common()},
        "reasons": intake_screen.reasons_document(done.reasons),
        "invalid_rows": [
            {"line": each.line, "number": each.value, "reason": each.sentence} for each in done.first_invalid
        ],
        "undated": {"rows": done.undated.count, "first_lines": done.undated.lines},
    }


def _show(done: Imported) -> None:
    from dispatcher.campaigns.dry_run import forms_in_words
    from dispatcher.cli import intake_screen, screen

    screen.say(f"{done.new:,} opted out, of {counted(done.rows, 'row')}; {done.invalid:,} invalid.")
    if done.rewritten:
        words = forms_in_words(dict(done.rewritten.most_common()), done.calling_code)
        screen.say(f"Numbers rewritten: {'; '.join(words)}.")
    intake_screen.show_reasons(done.reasons)
    for each in done.first_invalid:
        complain(f"line {each.line} is not recorded: {each.value!r}: {each.sentence}")
    if done.invalid > len(done.first_invalid):
        complain(f"{done.invalid - len(done.first_invalid):,} more lines are not recorded; --invalid-to FILE lists all")
    if done.undated.count:
        lines = ", ".join(map(str, done.undated.lines))
        more = ", …" if done.undated.count > len(done.undated.lines) else ""
        complain(
            f"{counted(done.undated.count, 'opt-out')} recorded without its date (line {lines}{more}): opted_out_at is "
            "not a past moment in ISO 8601, such as 2026-11-24T09:00:00Z"
        )


@suppress.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.", show_default=False)],
    channel: Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")] = None,
) -> None:
    """Write all opt-outs as CSV, which `suppress import` reads back as it is. Numbers are whole."""
    from dispatcher.campaigns.cells import inert_cell
    from dispatcher.cli import screen

    count = 0
    with open_ledger() as services, open(file, "w", newline="", encoding="utf-8-sig", opener=opener) as out:
        writer = csv.writer(out)
        writer.writerow(["recipient", "channel", "reason", "opted_out_at"])
        after = None
        while page := services.campaign_books.suppressed(channel, after=after, limit=_AT_ONCE):
            for each in page:
                row = (str(each.recipient), each.channel.value, inert_cell(each.reason or ""))
                writer.writerow([*row, each.created_at.isoformat()])
            count += len(page)
            after = (page[-1].channel.value, str(page[-1].recipient))
    if not count:
        file.unlink()
        screen.say("Nobody opted out.")
        raise typer.Exit(Exit.NOTHING_MATCHED)
    screen.say(f"{counted(count, 'opt-out')} written to {file}.")


@suppress.command("list")
def list_(
    channel: Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Show so many at the most.")] = 50,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List who opted out."""
    from dispatcher.cli import screen
    from dispatcher.cli.when import at

    with open_ledger() as services:
        found = services.campaign_books.suppressed(channel, after=None, limit=limit + 1)
    shown = [(str(each.recipient) if reveal else each.recipient.masked, each) for each in found[:limit]]
    if as_json:
        rows = [
            {"channel": each.channel, "recipient": number, "reason": each.reason, "created_at": each.created_at}
            for number, each in shown
        ]
        screen.print_json({"suppressions": rows, "more": len(found) > limit})
    elif shown:
        table = screen.listing("channel", "number", "since", "reason")
        for number, each in shown:
            table.add_row(each.channel.value, number, at(each.created_at), screen.inert(each.reason or ""))
        screen.show(table)
        if len(found) > limit:
            screen.remark("There are more: a larger --limit, or `dispatcher suppress export FILE`.")
    else:
        screen.say("Nobody opted out.")
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)
