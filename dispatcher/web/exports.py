"""Lists as CSV: masked unless whoever asks may see numbers and says so; then it is in the audit trail."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dispatcher.admin import GIVEN_UP, OperatorService
from dispatcher.admin.actor import Role
from dispatcher.campaigns.cells import inert_cell
from dispatcher.campaigns.export import rows, written
from dispatcher.domain.query import hide_private
from dispatcher.ledger import Message
from dispatcher.web import searches, views

_AT_ONCE = 1000
_HEAD = (
    *("id", "state", "channel", "priority", "recipient", "amount", "currency", "attempts", "calls", "last_status"),
    *("reason", "created_at", "updated_at", "accepted_at", "provider_id", "campaign_id"),
)


def messages(request: Request) -> Response:
    """Give all messages that match."""
    return _found(request, "messages.csv", prefix="")


def dead(request: Request) -> Response:
    """Give all that was given up and matches."""
    return _found(request, "dead.csv", prefix=GIVEN_UP)


def campaign(request: Request) -> Response:
    """Give who got a campaign, and who did not and why."""
    campaigns = views.campaigns_of(request)
    found = campaigns.books.find(request.path_params["name"])
    reveal = _reveals(request, f"campaign:{found.id}")
    return _csv(f"campaign-{found.id}.csv", rows(campaigns.deliveries(found.id), reveal=reveal))


def _found(request: Request, name: str, *, prefix: str) -> Response:
    search = searches.asked(request)
    text, operator = f"{search.text} {prefix}".strip(), views.operator_of(request, search)
    first = operator.search(text, limit=_AT_ONCE)  # what is wrong with the query is told before anything is sent
    reveal = _reveals(request, f"messages:{hide_private(text)}")
    return _csv(name, _lines(operator, text, first, reveal=reveal))


def _lines(operator: OperatorService, text: str, first: list[Message], *, reveal: bool) -> Iterator[tuple[str, ...]]:
    yield _HEAD
    page = first
    while page:
        yield from (_line(each, reveal=reveal) for each in page)
        page = operator.search(text, limit=_AT_ONCE, before=page[-1].id) if len(page) == _AT_ONCE else []


def _line(message: Message, *, reveal: bool) -> tuple[str, ...]:
    gift = message.gift
    return (
        *(str(message.id), message.state.value, message.channel.value, message.priority.value),
        inert_cell(str(message.recipient) if reveal else message.recipient.masked),
        *(("", "") if gift is None else (str(gift.amount), gift.currency)),
        *(str(message.attempts_made), str(message.calls_made), str(message.last_status or "")),
        inert_cell(message.last_error or ""),
        *(written(message.created_at), written(message.updated_at), written(message.accepted_at)),
        inert_cell(message.provider_id or ""),
        str(message.campaign_id or ""),
    )


def _reveals(request: Request, subject: str) -> bool:
    """Say whether numbers are asked for by somebody who may see them, and note that they were given."""
    if request.query_params.get("numbers") != "1":
        return False
    views.actor_of(request).require(Role.OPERATOR)
    views.operator_of(request).record("export numbers", subject)
    return True


def _csv(name: str, lines: Iterable[tuple[str, ...]]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_written(lines), media_type="text/csv; charset=utf-8", headers=headers)


def _written(lines: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Write some hundred lines at a time, so that memory stays flat whatever the length."""
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("\ufeff")  # or Excel takes it for ANSI
    for line in lines:
        writer.writerow(line)
        if out.tell() > 32_000:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


PAGES: dict[str, Callable[[Request], Response]] = {
    "/messages.csv": messages,
    "/dead.csv": dead,
    "/campaigns/{name}/recipients.csv": campaign,
}
