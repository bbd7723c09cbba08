"""What the pages show: each view is one GET that can be shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import DispatcherError, MessageNotFound, OperationNotFound, QueryError, SettingsError
from dispatcher.domain.fields import FIELDS
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.operation import Deed
from dispatcher.domain.segments import segments
from dispatcher.domain.state import State
from dispatcher.inspection import GIVEN_UP, Desk, as_curl, tell
from dispatcher.inspection.grouping import query_of
from dispatcher.inspection.status import read_health
from dispatcher.ledger import Message
from dispatcher.web import charts
from dispatcher.web.rendering import page
from dispatcher.wiring import Services

PAGE = 50
CAP = 10_000
NEW = 1000


def services_of(request: Request) -> Services:
    """Return this process's services."""
    found: Services = request.app.state.services
    return found


def actor(request: Request) -> str:
    """Name who acts, for the audit trail."""
    return f"web:{request.state.person.name}"


def desk_of(request: Request) -> Desk:
    """Return the desk of whoever asks."""
    return services_of(request).desk(actor(request))


def campaigns_of(request: Request) -> Campaigns:
    """Return campaigns for whoever asks."""
    return services_of(request).campaigns(actor(request))


def overview(request: Request) -> Response:
    """Show what is happening, what needs a person first."""
    services, desk = services_of(request), desk_of(request)
    now = services.clock.now()
    try:
        tokens = services.tokens
    except SettingsError:
        tokens = None
    health = read_health(services.books, services.limiter, tokens, services.clock)
    counts = desk.books.standing_counts(cap=CAP + 1)
    minutes = desk.books.minutes(now - timedelta(minutes=59))
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
    found = _find(request, prefix=GIVEN_UP)
    groups = []
    if found.problem is None:
        among = [each.id for each in found.rows] if found.whole else None  # few: the groups are of these
        groups = [(group, query_of(group)) for group in desk_of(request).groups(found.text, among=among)]
    count = sum(group.count for group, _ in groups)  # counted already
    return _listed(request, "dead.html", found, count=count, groups=groups)


def messages(request: Request) -> Response:
    """Show messages by query."""
    found = _find(request)
    count = len(found.rows)
    if found.problem is None and not found.whole:
        desk = desk_of(request)
        count = desk.books.count(desk.read(found.text))
    return _listed(request, "messages.html", found, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A page of a list, or what is wrong with the query."""

    text: str
    rows: list[Message]
    more: UUID | None
    whole: bool
    """All that match are on this page."""
    problem: dict[str, Any] | None


def _find(request: Request, *, prefix: str = "") -> _Found:
    text, before = request.query_params.get("q", ""), _id(request.query_params.get("before"))
    rows, problem = [], None
    try:
        rows = desk_of(request).search(f"{text} {prefix}".strip(), limit=PAGE + 1, before=before)
    except QueryError as wrong:
        problem = {"sentence": wrong.problem, "position": min(wrong.position, len(text))}
    more = rows[PAGE - 1].id if len(rows) > PAGE else None
    return _Found(text=text, rows=rows[:PAGE], more=more, whole=before is None and more is None, problem=problem)


def _listed(request: Request, template: str, found: _Found, *, count: int, **more: Any) -> Response:
    return page(
        request,
        template,
        400 if found.problem else 200,
        q=found.text,
        rows=found.rows,
        more=found.more,
        count=count,
        cap=CAP,
        problem=found.problem,
        fields=FIELDS,
        **more,
    )


def fresh(request: Request) -> Response:
    """Say how many more match by now than when a list was shown: made since, or given up since."""
    asked = request.query_params
    since = asked.get("since", "")
    prefix = f"{GIVEN_UP} updated:>{since}" if asked.get("list") == "dead" else f"created:>{since}"
    desk = desk_of(request)
    return JSONResponse({"new": desk.books.count(desk.read(f"{asked.get('q', '')} {prefix}"), cap=NEW)})


def message(request: Request) -> Response:
    """Tell the story of one message."""
    services, id_ = services_of(request), uuid_of(request.path_params["id"])
    found, attempts, audit = services.books.story(id_)
    now = services.clock.now()
    story = tell(found, attempts, audit, now=now, hold=services.books.hold(id_, now=now))
    return page(
        request,
        "message.html",
        message=found,
        story=story,
        attempts={(each.started_at, each.number): each for each in attempts},
        parts=None if found.body is None or found.redacted_at is not None else segments(found.body),
        guarded=bool(services.books.guarded_among([id_])),
        reveal=_reveal(request),
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
    asked, text = request.query_params.get("do", "replay-all"), request.query_params.get("q", "")
    deed = Deed.DISCARD if asked.startswith("discard") else Deed.REPLAY
    ids = [] if asked.endswith("-all") else [str(uuid_of(each)) for each in request.query_params.getlist("id")]
    if not ids and not asked.endswith("-all"):  # nothing selected is not everything
        return RedirectResponse(f"/dead?{urlencode({'q': text, 'said': 'Nothing was selected.'})}", 303)
    made = desk_of(request).plan(deed, text, [UUID(each) for each in ids])
    seal = request.app.state.seal.sign(deed.value, text, ",".join(ids))
    return page(request, "plan.html", plan=made, deed=deed, q=text, ids=ids, seal=seal)


def operations(request: Request) -> Response:
    """List bulk operations."""
    return page(request, "operations.html", rows=desk_of(request).books.operations())


def operation(request: Request) -> Response:
    """Show how an operation stands."""
    standing = desk_of(request).standing(uuid_of(request.path_params["id"], missing=OperationNotFound))
    done = standing.operation
    parts = [("share-done", "done", done.done), ("share-skipped", "skipped", done.skipped)]
    return page(request, "operation.html", standing=standing, bar=charts.share(parts, max(1, done.total)))


def in_doubt(request: Request) -> Response:
    """Show what nobody knows about: gifts first, oldest first."""
    return page(request, "in_doubt.html", found=desk_of(request).in_doubt(limit=100))


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
    found = desk_of(request).books.audit(subject=about, limit=PAGE + 1, before=before)
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
    return request.query_params.get("reveal") == "1" and request.state.person.role >= 2


def uuid_of(text: str, *, missing: type[DispatcherError] = MessageNotFound) -> UUID:
    """Read an id; what is none belongs to nothing.

    :raises MessageNotFound: or whatever else is missing then.
    """
    try:
        return UUID(text)
    except ValueError:
        raise missing(text) from None


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
