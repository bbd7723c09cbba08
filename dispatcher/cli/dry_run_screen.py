"""A dry run as a page for people and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from dispatcher.campaigns.dry_run import DryRun, Speed, rewritten
from dispatcher.campaigns.survey import character_name
from dispatcher.cli import screen
from dispatcher.cli.intake_screen import left_out, reasons_document, show_reasons, show_warnings
from dispatcher.cli.when import at, in_words
from dispatcher.domain.words import counted

_CULPRITS_SHOWN = 8
_OPENINGS_SHOWN = 4


def print_report(report: DryRun) -> None:
    """Print the report as JSON. Durations are in seconds (``…_s``); samples hold texts, but no whole number."""
    screen.print_json(
        {
            "source": report.source,
            "read_as": report.read_as,
            "rows": report.rows,
            "recipients": report.recipients,
            "invalid": report.invalid,
            "reasons": reasons_document(report.reasons),
            "first_invalid": [
                {"line": row.line, "number": row.value, "reason": row.sentence} for row in report.first_invalid
            ],
            "duplicates": {"rows": report.duplicates.count, "first_lines": report.duplicates.lines},
            "opted_out": report.opted_out,
            "rewritten": {form.value: rows for form, rows in report.rewritten.items()},
            "parts": report.parts,
            "by_encoding": {
                encoding.value: {"messages": messages, "parts": parts}
                for encoding, (messages, parts) in report.by_encoding.items()
            },
            "by_parts": {str(parts): messages for parts, messages in report.by_parts.items()},
            "ucs2_characters": [
                {"character": character, "name": character_name(character), "messages": messages}
                for character, messages in report.culprits
            ],
            "placeholders": [
                {"column": column, "text": cell, "messages": messages} for column, cell, messages in report.placeholders
            ],
            "normalized": report.composed,
            "money": report.money,
            "terms": dict(report.terms),
            "starts_at": report.starts_at,
            "window": {
                "never_open_rows": report.never_open,
                "openings": [
                    {
                        "recipients": each.recipients,
                        "zones": each.zones,
                        "zones_left_out": each.left_out,
                        "opens_at": each.opens_at,
                        "closes_at": each.closes_at,
                    }
                    for each in report.openings
                ],
            },
            "at_present_rate": None if report.now is None else _speed_document(report.now),
            "at_configured_rate": _speed_document(report.configured),
            "samples": [
                {"line": sample.line, "recipient": sample.recipient.masked, "text": sample.text}
                for sample in report.samples
            ],
            "warnings": report.warnings,
            "written": False,
        }
    )


def _speed_document(speed: Speed) -> dict[str, Any]:
    return {"per_second": speed.per_second, "takes_s": speed.takes, "finishes_at": speed.finishes_at}


def show(report: DryRun, *, invalid_to: Path | None) -> None:
    """Print the report for people."""
    screen.say(f"Dry run of {report.source} ({report.read_as}): nothing was written.")
    screen.show(screen.facts(list(_facts(report)), indent=1))
    show_reasons(report.reasons)
    if invalid_to is not None and report.invalid:
        screen.say(f"All invalid rows are in {invalid_to}.")
    _show_culprits(report)
    for sample in report.samples:
        screen.show("", Text(f"Line {sample.line}, to {sample.recipient.masked}", style="dim"))
        screen.show(Text(screen.inert_lines(sample.text)))
    show_warnings(report.warnings)


def _facts(report: DryRun) -> Iterator[tuple[str, str | Text]]:
    yield (
        "recipients",
        Text(f"{report.recipients:,}", style="bold").append(f" of {report.rows:,} rows", style="not bold"),
    )
    yield from left_out(report.invalid, report.duplicates.count, report.opted_out)
    if report.rewritten:
        yield "rewritten", "; ".join(rewritten(report))
    if report.parts:
        kinds = ", ".join(
            f"{counted(messages, 'message')} in {encoding.value} ({counted(parts, 'part')})"
            for encoding, (messages, parts) in sorted(report.by_encoding.items(), key=lambda item: -item[1][0])
        )
        yield "SMS parts", f"{report.parts:,}: {kinds}"
        yield "", ", ".join(f"{count:,} × {parts}" for parts, count in report.by_parts.items())
    if report.composed:
        yield "text form", f"{counted(report.composed, 'text')} put into composed form (NFC)"
    for currency, amount in report.money.items():
        yield "money", f"{currency} {amount:,}"
    yield from report.terms.items()
    yield "starts", at(report.starts_at)
    yield from _window(report)
    if report.now is not None:
        yield "at present", _speed(report.now)
    else:
        yield "at present", "unknown: Redis cannot be reached"
    yield "as configured", _speed(report.configured)


def _window(report: DryRun) -> Iterator[tuple[str, str]]:
    """Say when the window opens for how many, and for how many it never does."""
    name = "window"
    for each in report.openings[:_OPENINGS_SHOWN]:
        zones = f" in {', '.join(each.zones[:3])}{', …' if len(each.zones) > 3 else ''}" if each.zones else ""
        yield name, f"opens {at(each.opens_at)} for {counted(each.recipients, 'recipient')}{zones}"
        name = ""
    if len(report.openings) > _OPENINGS_SHOWN:
        rest = report.openings[_OPENINGS_SHOWN:]
        last = max(each.opens_at for each in rest)
        yield "", f"and by {at(last)} for {counted(sum(each.recipients for each in rest), 'other')}"
    if report.never_open:
        yield name, f"never opens for {counted(report.never_open, 'row')}, left out as invalid"


def _speed(speed: Speed) -> str:
    ends = "not within a year" if speed.finishes_at is None else f"over at {at(speed.finishes_at)}"
    return f"{in_words(speed.takes)} of sending at {speed.per_second:.4g}/s, {ends}"


def _show_culprits(report: DryRun) -> None:
    if not report.culprits:
        return
    table = screen.listing("messages", "character", "forces UCS-2 (70 instead of 160 in a part)", right=("messages",))
    for character, messages in report.culprits[:_CULPRITS_SHOWN]:
        table.add_row(f"{messages:,}", screen.inert(character), character_name(character).lower())
    screen.show("", table)
    if len(report.culprits) > _CULPRITS_SHOWN:
        screen.say(f"… and {len(report.culprits) - _CULPRITS_SHOWN} more characters.")
