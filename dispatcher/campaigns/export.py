"""Who got it, who did not and why, as rows of a CSV that a spreadsheet can open and will not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dispatcher.campaigns.cells import inert_cell
from dispatcher.ledger import Delivery

HEAD = ("recipient", "state", "reason", "attempts", "may_be_a_duplicate", "accepted_at", "provider_id", "message_id")


def rows(deliveries: Iterable[Delivery], *, reveal: bool = True) -> Iterator[tuple[str, ...]]:
    """Yield the head and a row for each recipient.

    :param reveal: with the numbers; else with what masks them.
    """
    yield HEAD
    for each in deliveries:
        yield (
            inert_cell(str(each.recipient) if reveal else each.recipient.masked),
            each.state.value,
            inert_cell(each.reason or ""),
            str(each.attempts_made),
            "yes" if each.doubtful_sends else "no",
            written(each.accepted_at),
            inert_cell(each.provider_id or ""),
            str(each.id),
        )


def written(moment: datetime | None) -> str:
    """Write a moment as spreadsheets and programs read it."""
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")
