"""What one sees while recipients are taken in, and after."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.text import Text

from dispatcher.cli import campaign_screen, screen
from dispatcher.cli.exits import WrongUsage
from dispatcher.domain.words import counted
from dispatcher.private_files import opener

if TYPE_CHECKING:
    from dispatcher.campaigns import Created, Loading
    from dispatcher.campaigns.check import Invalid
    from dispatcher.campaigns.survey import Group
    from dispatcher.ledger import Campaign

_REASONS_SHOWN = 8


@contextmanager
def readable(file: Path) -> Iterator[Path]:
    """Give a file that can be read twice: standard input is put into one first."""
    if str(file) != "-":
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield path


@contextmanager
def invalid_rows(file: Path | None, *, of: Path) -> Iterator[Callable[[Sequence[Invalid]], None]]:
    """Give what takes invalid rows, and writes them to a file if there is one.

    The file takes its place when all is well and something was read; a run that changes nothing leaves an older one.

    :raises WrongUsage: it is the very file that the rows come from.
    """
    if file is None:
        yield lambda _: None
        return
    if file.exists() and of.exists() and file.samefile(of):
        raise WrongUsage("--invalid-to: is the file of the recipients itself; give another")
    part = file.with_name(f"{file.name}.part")
    try:
        with open(part, "w", newline="", encoding="utf-8-sig", opener=opener) as out:
            rows = _InvalidRows(out)
            yield rows
        if rows.read:
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)


class _InvalidRows:
    """Writes invalid rows, and knows whether any page was read at all."""

    def __init__(self, out: TextIO) -> None:
        self.read = False
        self._writer = csv.writer(out)
        self._writer.writerow(["line", "number", "reason"])

    def __call__(self, rows: Sequence[Invalid]) -> None:
        from dispatcher.campaigns.cells import inert_cell

        self.read = True
        self._writer.writerows((row.line, row.value, inert_cell(row.sentence)) for row in rows)


@contextmanager
def bar(doing: str) -> Iterator[Callable[[Loading], None]]:
    """Show a bar on stderr while somebody looks at it; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.margin(), transient=True) as progress:
        task = progress.add_task(doing, total=None)

        def move(loading: Loading) -> None:
            progress.update(task, completed=loading.rows, total=loading.of)

        yield move


def print_created(created: Created) -> None:
    """Print a campaign that was taken in as JSON."""
    tally = created.tally
    screen.print_json(
        {
            **campaign_screen.document(created.campaign),
            "duplicate": created.duplicate,
            "reasons": None if tally is None else reasons_document(tally.reasons),
            "warnings": created.warnings,
        }
    )


def show_created(created: Created, *, invalid_to: Path | None) -> None:
    """Say what was taken in and what was left out."""
    campaign, tally = created.campaign, created.tally
    if created.duplicate or tally is None:
        screen.say(
            f"{campaign.name} was taken in before ({counted(campaign.total, 'recipient')}); "
            "nothing was changed, its start neither."
        )
    else:
        rows = [("recipients", f"{campaign.total:,} of {campaign.rows_read:,} rows")]
        rows += [("parts", counted(campaign.parts, "SMS part"))] if campaign.parts else []
        rows += _money(campaign)
        rows += left_out(campaign.invalid, campaign.duplicates, campaign.opted_out)
        screen.say(f"{campaign.name} is in the ledger.")
        screen.show(screen.facts(rows, indent=1))
        show_reasons(tally.reasons)
        if invalid_to is not None and campaign.invalid:
            screen.say(f"All invalid rows are in {invalid_to}.")
        show_warnings(created.warnings)
    screen.say(f"  id  {campaign.id}")


def _money(campaign: Campaign) -> list[tuple[str, Any]]:
    """Return the lines about money, as it was read."""
    gift = campaign.gift or {}
    rows = [("amount", f"{gift['currency']} {gift['amount']}")] if gift.get("amount") else []
    return rows + ([("budget", f"{gift.get('currency')} {campaign.budget}")] if campaign.budget else [])


def left_out(invalid: int, duplicates: int, opted_out: int) -> list[tuple[str, Any]]:
    """Return the lines about rows that get nothing."""
    counts = (("invalid", invalid), ("duplicates", duplicates), ("opted out", opted_out))
    return [(name, f"{count:,} left out") for name, count in counts if count]


def show_reasons(reasons: dict[str, Group]) -> None:
    """Print why rows are invalid, the most frequent reason first."""
    if not reasons:
        return
    table = screen.listing("rows", "first lines", "why invalid", right=("rows",))
    ordered = sorted(reasons.items(), key=lambda item: -item[1].count)
    for reason, group in ordered[:_REASONS_SHOWN]:
        table.add_row(f"{group.count:,}", ", ".join(map(str, group.lines)), screen.inert(group.explained(reason)))
    screen.show("", table)
    if len(ordered) > _REASONS_SHOWN:
        screen.say(f"… and {len(ordered) - _REASONS_SHOWN} more reasons; --invalid-to FILE has every row.")


def show_warnings(warnings: Sequence[str]) -> None:
    """Print warnings, each on its line."""
    if warnings:
        screen.show("")
    for warning in warnings:
        screen.show(Text("! ", style="bold yellow").append(screen.inert(warning), style="default"))


def reasons_document(reasons: dict[str, Group]) -> list[dict[str, Any]]:
    """Return the reasons for JSON."""
    return [
        {"reason": reason, "detail": group.detail or None, "rows": group.count, "first_lines": group.lines}
        for reason, group in sorted(reasons.items(), key=lambda item: -item[1].count)
    ]
