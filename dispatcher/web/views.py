"""What the pages show: each view is one GET that can be shared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dispatcher.admin import GIVEN_UP, Actor, OperatorService, as_curl, build_timeline
from dispatcher.admin.actor import Role
from dispatcher.admin.grouping import query_of
from dispatcher.admin.status import read_health
from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import (
    LedgerUnavailable,
    MessageNotFound,
    OperationNotFound,
    PrivateSearch,
    QueryError,
    SettingsError,
)
from dispatcher.domain.fields import FIELDS
from dispatcher.domain.identity import parse_id
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.operation import Deed
from dispatcher.domain.segments import segments
from dispatcher.domain.state import State
from dispatcher.ledger import Message
from dispatcher.web import charts, searches
from dispatcher.web.rendering import page
from dispatcher.web.searches import Search
from dispatcher.wiring import Services

PAGE = 50
CAP = 10_000
NEW = 1000


def services_of(request: Request) -> Services:
    """Return this process's services, whose clock was measured within the last minute if the ledger can be asked."""
    found: Services = request.app.state.services
    with suppress(LedgerUnavailable):  # what the page reads next reports it
        found.clock.keep_in_step()
    return found


def actor_of(request: Request) -> Actor:
    """Return who is signed in, as an actor."""
    person = request.state.person
    return Actor(name=f"web:{person.name}"[:100], role=person.role)


def operator_of(request: Request, search: Search | None = None) -> OperatorService:
    """Return the use cases of who is signed in. Queries for numbers are read only if the search came in a form."""
    actor = actor_of(request)
    private = search is not None and search.private
    return services_of(request).operator(actor.name, role=actor.role, sees_numbers=private)


def campaigns_of(request: Request) -> Campaigns:
    """Return the campaigns, for who is signed in."""
    return services_of(request).campaigns(actor_of(request).name)


def overview(request: Request) -> Response:
    """Show what is happening, what needs a person first."""
    services, operator = services_of(request), operator_of(request)
    now = services.clock.now()
    try:
        tokens = services.tokens
    except SettingsError:
        tokens = None
    health = read_health(services.books, services.limiter, tokens, clock=services.clock, duties=services.duties.read)
    counts = operator.books.standing_counts(cap=CAP + 1)
    minutes = operator.books.minutes(now - timedelta(minutes=59))
    last = [each for each in minutes if each.minute >= f"{now - timedelta(minutes=1):%Y-%m-%dT%H:%M}"]
    seconds = 60 + now.second
    running = campaigns_of(request).listed(limit=8)
    queues = []
    for channel in Channel:
        sent = sum(each.calls for each in last if each.channel is channel and each.outcome == "accepted") / seconds
        for priority in Priority:
            by_state = {state: counts.get((channel, priority, state), 0) for state in State}
            waiting = [each.since for each in health.waiting if (each.channel, each.priority) == (channel, priority)]
            queues.append(
                {
                    "channel": channel,
                    "priority": priority,
                    "counts": by_state,
                    "oldest": now - waiting[0] if waiting else None,
                    "per_second": sent,
                }
            )
    return page(
        request,
        "overview.html",
        queues=queues,
        health=health,
        chart=charts.outcomes(minutes, now=now),
        bands=charts.bands(minutes),
        campaigns=running,
        total=lambda state: sum(count for (_, _, found), count in counts.items() if found is state),
        State=State,
        cap=CAP,
    )


def dead(request: Request) -> Response:
    """Show what was given up: groups first, then rows."""
    return dead_found(request, searches.asked(request))


def dead_found(request: Request, search: Search) -> Response:
    """Show what was given up and matches a search."""
    found = _find(request, search, prefix=GIVEN_UP)
    groups = []
    if found.problem is None:
        among = [each.id for each in found.rows] if found.whole else None  # few: the groups are of these
        operator = operator_of(request, search)
        groups = [(group, query_of(group)) for group in operator.groups(search.text, among=among)]
    count = sum(group.count for group, _ in groups)  # counted already
    return _listed(request, "dead.html", found, count=count, groups=groups)


def messages(request: Request) -> Response:
    """Show messages by query."""
    return messages_found(request, searches.asked(request))


def messages_found(request: Request, search: Search) -> Response:
    """Show messages that match a search."""
    found = _find(request, search)
    count = len(found.rows)
    if found.problem is None and not found.whole:
        operator = operator_of(request, search)
        count = operator.books.count(operator.read(search.text))
    return _listed(request, "messages.html", found, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A page of a list, or what is wrong with the query."""

    search: Search
    rows: list[Message]
    more: UUID | None
    whole: bool
    """All that match are on this page."""
    status: int
    problem: dict[str, Any] | None


def _find(request: Request, search: Search, *, prefix: str = "") -> _Found:
    text, before = search.text, _id(request.query_params.get("before"))
    rows, problem, status = [], None, 200
    try:
        rows = operator_of(request, search).search(f"{text} {prefix}".strip(), limit=PAGE + 1, before=before)
    except PrivateSearch as private:
        may = request.state.person.role >= searches.MAY_SEE_NUMBERS
        hint = "press Search: an address must not carry a number" if may else "that is for the role operator"
        problem = {"sentence": f"{private.problem}; {hint}", "position": private.position}
        status = 400 if may else 403
    except QueryError as wrong:
        problem, status = {"sentence": wrong.problem, "position": min(wrong.position, len(text))}, 400
    more = rows[PAGE - 1].id if len(rows) > PAGE else None
    whole = before is None and more is None
    return _Found(search=search, rows=rows[:PAGE], more=more, whole=whole, status=status, problem=problem)


def _listed(request: Request, template: str, found: _Found, *, count: int, **more: Any) -> Response:
    may = request.state.person.role >= searches.MAY_SEE_NUMBERS
    return page(
        request,
        template,
        found.status,
        q=found.search.text,
        link=found.search.link,
        private=found.search.private,
        rows=found.rows,
        more=found.more,
        count=count,
        cap=CAP,
        problem=found.problem,
        fields={name: field for name, field in FIELDS.items() if may or not field.private},
        **more,
    )


def fresh(request: Request) -> Response:
    """Say how many more match by now than when a list was shown: made since, or given up since."""
    params, search = request.query_params, searches.asked(request)
    since = params.get("since", "")
    prefix = f"{GIVEN_UP} updated:>{since}" if params.get("list") == "dead" else f"created:>{since}"
    operator = operator_of(request, search)
    return JSONResponse({"new": operator.books.count(operator.read(f"{search.text} {prefix}"), cap=NEW)})


def message(request: Request) -> Response:
    """Tell the story of one message."""
    services, id_ = services_of(request), parse_id(request.path_params["id"], missing=MessageNotFound)
    now, reveal = services.clock.now(), _reveal(request)
    if reveal:
        services.books.message(id_)
        operator_of(request).record("reveal", f"message:{id_}")
    found, attempts, audit = services.books.story(id_)
    story = build_timeline(found, attempts, audit, now=now, hold=services.books.hold(id_, now=now))
    return page(
        request,
        "message.html",
        message=found,
        story=story,
        attempts={(each.started_at, each.number): each for each in attempts},
        parts=None if found.body is None or found.redacted_at is not None else segments(found.body),
        guarded=bool(services.books.guarded_among([id_])),
        reveal=reveal,
        before=[each for each in audit if each.details.get("was")],
        curl=None if found.redacted_at is not None else _curl(request, found),
        State=State,
    )


def _curl(request: Request, found: Message) -> str:
    services = services_of(request)
    base_url = services.settings.api_base_url
    return as_curl(found, services.endpoints[found.channel], base_url=base_url, reveal=_reveal(request))


def plan(request: Request) -> Response:
    """Show what a bulk operation would come to, before it is begun."""
    asked, search = request.query_params.get("do", "replay-all"), searches.asked(request)
    text = search.text
    deed = Deed.DISCARD if asked.startswith("discard") else Deed.REPLAY
    ids = (
        []
        if asked.endswith("-all")
        else [str(parse_id(each, missing=MessageNotFound)) for each in request.query_params.getlist("id")]
    )
    if not ids and not asked.endswith("-all"):  # nothing selected is not everything
        return RedirectResponse(f"/dead?{urlencode({'q': search.link, 'said': 'Nothing was selected.'})}", 303)
    made = operator_of(request, search).plan(deed, text, [UUID(each) for each in ids])
    seal = request.app.state.seal.sign(deed.value, text, ",".join(ids))
    return page(request, "plan.html", plan=made, deed=deed, q=text, ids=ids, seal=seal)


def operations(request: Request) -> Response:
    """List bulk operations."""
    return page(request, "operations.html", rows=operator_of(request).operations())


def operation(request: Request) -> Response:
    """Show how an operation stands."""
    progress = operator_of(request).progress(parse_id(request.path_params["id"], missing=OperationNotFound))
    done = progress.operation
    parts = [("share-done", "done", done.done), ("share-skipped", "skipped", done.skipped)]
    return page(request, "operation.html", progress=progress, bar=charts.share(parts, max(1, done.total)))


def in_doubt(request: Request) -> Response:
    """Show what nobody knows about: gifts first, oldest first."""
    return page(request, "in_doubt.html", found=operator_of(request).in_doubt(limit=100))


def campaigns(request: Request) -> Response:
    """List campaigns with their progress."""
    rows = campaigns_of(request).listed(limit=50)
    return page(request, "campaigns.html", rows=rows, bars=[_bar(each) for each in rows])


def campaign(request: Request) -> Response:
    """Show one campaign."""
    progress = campaigns_of(request).progress(request.path_params["name"], lately=True)
    return page(request, "campaign.html", progress=progress, bar=_bar(progress), State=State)


def audit(request: Request) -> Response:
    """Show who did what."""
    before = _id(request.query_params.get("before"))
    about = request.query_params.get("about") or None
    found = operator_of(request).audit(about=about, limit=PAGE + 1, before=before)
    more = found[PAGE - 1].id if len(found) > PAGE else None
    return page(request, "audit.html", rows=found[:PAGE], more=more, about=about)


def sign_in_page(request: Request) -> Response:
    """Ask who it is."""
    return page(request, "sign_in.html", wanted=request.query_params.get("next", "/"), wrong=False, wait=0)


def _bar(progress: Any) -> Any:
    parts = [
        ("band-accepted", "accepted", progress.sent),
        ("band-refused", "dead or expired", progress.count(State.DEAD, State.EXPIRED)),
        ("band-doubt", "in doubt", progress.count(State.IN_DOUBT)),
        ("share-skipped", "called off or opted out", progress.count(State.CANCELLED, State.SUPPRESSED)),
    ]
    return charts.share(parts, max(1, progress.campaign.total))


def _reveal(request: Request) -> bool:
    return request.query_params.get("reveal") == "1" and request.state.person.role >= Role.OPERATOR


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


PAGES: dict[str, Callable[[Request], Response]] = {
    "/": overview,
    "/messages": messages,
    "/messages/{id}": message,
    "/dead": dead,
    "/fresh": fresh,
    "/plan": plan,
    "/operations": operations,
    "/operations/{id}": operation,
    "/in-doubt": in_doubt,
    "/campaigns": campaigns,
    "/campaigns/{name}": campaign,
    "/audit": audit,
}
