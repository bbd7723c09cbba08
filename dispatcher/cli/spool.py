"""`dispatcher spool`: answers on this host's disk that the ledger did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson
from dispatcher.cli.session import open_ledger

if TYPE_CHECKING:
    from dispatcher.engine import Quarantined

spool = noun("See answers on this host that the ledger did not take, and settle them again.")


@spool.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List what is in quarantine on this host: answers that the ledger refused, and damaged lines.

    An answer is there because its values are refused, or because the ledger has no message with its id.
    """
    from dispatcher.cli import screen

    with open_ledger() as services:
        found = services.spool.quarantined()
    if as_json:
        screen.print_json({"quarantined": [_document(each) for each in found]})
    else:
        _show(found)
        if found:
            screen.say("")
            screen.say("Once the cause is gone, `dispatcher spool retry` settles them again.")
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@spool.command()
def retry(*, as_json: AsJson = False) -> None:
    """Settle again what is in quarantine on this host.

    Harmless at any time: an answer counts once, and one that the ledger refuses again stays in quarantine. Damaged
    lines stay until their file is removed.
    """
    from dispatcher.cli import screen
    from dispatcher.engine.spooled import settle_spooled

    with open_ledger() as services:
        taken, left = services.spool.retry(lambda batch: settle_spooled(services.ledger, batch))
    if as_json:
        screen.print_json({"settled": taken, "quarantined": [_document(each) for each in left]})
    else:
        screen.say(f"{taken} settled, {len(left)} still in quarantine.")
        if left:
            _show(left)
    if not taken and not left:
        raise typer.Exit(Exit.NOTHING_MATCHED)
    if left:
        raise typer.Exit(Exit.REFUSED)


def _show(found: list[Quarantined]) -> None:
    from dispatcher.cli import screen
    from dispatcher.cli.when import at

    if not found:
        screen.say("Nothing is in quarantine on this host.")
        return
    table = screen.listing("In quarantine", "answer", "at", "why")
    for each in found:
        if each.answer is None:
            table.add_row("damaged line", "", "", screen.inert(each.reason))
        else:
            answer = each.answer
            table.add_row(
                str(answer.message_id), answer.outcome.kind.value, at(answer.finished_at), screen.inert(each.reason)
            )
    screen.show(table)


def _document(each: Quarantined) -> dict[str, Any]:
    """Return it for JSON; neither has a number or a text of a message."""
    if each.answer is None:
        return {"reason": each.reason, "line": each.line}
    answer = each.answer
    return {
        "reason": each.reason,
        "message": answer.message_id,
        "attempt": answer.attempt_id,
        "worker": answer.worker,
        "outcome": answer.outcome.kind,
        "http_status": answer.outcome.http_status,
        "provider_id": answer.outcome.provider_id,
        "finished_at": answer.finished_at,
    }
