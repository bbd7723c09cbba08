"""What the pages do: each deed is one POST with the form's token, leaves an audit row, and leads back to a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dispatcher.admin import check_moment
from dispatcher.admin.actor import Role
from dispatcher.domain.errors import InvalidCampaign, MessageNotFound, OperationNotFound, QueryError
from dispatcher.domain.identity import parse_id
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.query import hide_private
from dispatcher.domain.words import at as written
from dispatcher.ledger import Resolution
from dispatcher.web import forms, searches, views
from dispatcher.web.bodies import read_form
from dispatcher.web.guard import safe_target
from dispatcher.web.people import TooManyGuesses
from dispatcher.web.rendering import page
from dispatcher.web.searches import Search
from dispatcher.web.sessions import BROWSER_COOKIE, BROWSER_LIFE, COOKIE, LIFE

_Value = TypeVar("_Value")
_Act = Callable[[Request, FormData], str | Response]


def deed(role: Role) -> Callable[[_Act], Callable[[Request], Awaitable[Response]]]:
    """Make a POST of an act that returns where to go, or a page: only for a role, only with the form's own token."""

    def make(act: _Act) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = await read_form(request)
            forms.require_token(request, form)
            views.actor_of(request).require(role)
            answer = await run_in_threadpool(act, request, form)
            return RedirectResponse(answer, 303) if isinstance(answer, str) else answer

        answer.__doc__ = act.__doc__
        return answer

    return make


async def sign_in(request: Request) -> Response:
    """Begin a session."""
    form = await read_form(request)
    address = request.client.host if request.client is not None else ""
    wanted, name = safe_target(str(form.get("next", "/"))), str(form.get("name", ""))
    people, sessions = request.app.state.people, request.app.state.sessions
    browser = sessions.known_browser(request.cookies.get(BROWSER_COOKIE), name)
    try:
        person = await people.sign_in(name, str(form.get("password", "")), address=address, browser=browser)
    except TooManyGuesses as refused:
        wait = ceil(refused.retry_after)
        answer = page(request, "sign_in.html", 429, wanted=wanted, wrong=False, wait=wait)
        answer.headers["Retry-After"] = str(wait)
        return answer
    if person is None:
        return page(request, "sign_in.html", 401, wanted=wanted, wrong=True, wait=0)
    response = RedirectResponse(wanted, 303)
    cookies = [(COOKIE, sessions.begin(person), LIFE, "/")]
    if browser is None:
        cookies.append((BROWSER_COOKIE, sessions.remember_browser(person), BROWSER_LIFE, "/sign-in"))
    for cookie, value, life, path in cookies:
        response.set_cookie(
            cookie,
            value,
            max_age=int(life.total_seconds()),
            path=path,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


async def sign_out(request: Request) -> Response:
    """End the session: the browser forgets its cookie, and the ledger knows that a copy of it is void."""
    services, session = views.services_of(request), request.app.state.sessions.read(request.cookies.get(COOKIE))
    if session is not None:
        now = services.clock.now()
        await run_in_threadpool(services.inspection_books.sign_out, session.id, now=now, forget_at=now + 2 * LIFE)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


@deed(Role.VIEWER)
def search(request: Request, form: FormData) -> str | Response:
    """Search a list. What asks for no number leads to an address that can be shared."""
    text, path = str(form.get("q", "")), request.url.path
    shown = {"/messages": views.messages_found, "/dead": views.dead_found}[path]
    try:
        found = searches.typed(request, text, now=views.services_of(request).clock.now())
    except QueryError:  # shown on the page; the address must not carry what may be a number
        return shown(request, Search(text=text, link="", private=False))
    if not found.private:
        return f"{path}?{urlencode({'q': text})}"
    answer = shown(request, found)
    if answer.status_code == HTTPStatus.OK:
        views.operator_of(request).record("search numbers", f"{path.strip('/')}:{hide_private(text)}")
    return answer


@deed(Role.OPERATOR)
def replay(request: Request, form: FormData) -> str:
    """Send one message again."""
    id_, at = _message_id(request), forms.moment_of(form, "at")
    views.operator_of(request).replay(id_, reason=forms.optional_reason(form), at=at)
    return back(f"/messages/{id_}", "Queued again." if at is None else f"Queued for {written(at)}.")


@deed(Role.OPERATOR)
def cancel(request: Request, form: FormData) -> str:
    """Cancel one message."""
    id_ = _message_id(request)
    views.operator_of(request).cancel(id_, reason=forms.optional_reason(form))
    return back(f"/messages/{id_}", "Called off.")


@deed(Role.OPERATOR)
def begin(request: Request, form: FormData) -> str:
    """Begin the bulk operation whose plan was shown."""
    kind = _named({each.value: each for each in Deed}, str(form.get("deed", "")))
    text = str(form.get("q", ""))
    ids = [str(each) for each in form.getlist("id")]
    if not request.app.state.seal.holds(str(form.get("seal", "")), kind.value, text, ",".join(ids)):
        raise HTTPException(409, "the plan is older than a quarter of an hour; look at it again")
    # The form's seal is of a plan that was shown, so that whoever may see numbers has searched for them before.
    private = request.state.person.role >= searches.MAY_SEE_NUMBERS
    operator = views.operator_of(request, Search(text=text, link=text, private=private))
    plan = operator.plan(kind, text, [parse_id(each, missing=MessageNotFound) for each in ids])
    spread = forms.number_of(form, "spread")
    pace = Pace(
        at=check_moment(forms.moment_of(form, "at"), now=operator.clock.now()),
        spread=None if spread is None else timedelta(minutes=spread),
        per_second=forms.number_of(form, "per_second"),
        canary=20 if form.get("canary") else 0,
    )
    operation = operator.begin(plan, reason=forms.reason_of(form), pace=pace)
    return f"/operations/{operation.id}"


@deed(Role.OPERATOR)
def change_operation(request: Request, form: FormData) -> str:
    """Pause, resume or abort a bulk operation."""
    operator, id_ = views.operator_of(request), parse_id(request.path_params["id"], missing=OperationNotFound)
    acts = {
        "pause": operator.pause_operation,
        "resume": operator.resume_operation,
        "abort": operator.abort_operation,
    }
    _named(acts, request.path_params["act"])(id_, reason=forms.optional_reason(form))
    return f"/operations/{id_}"


@deed(Role.OPERATOR)
def resolve(request: Request, form: FormData) -> str:
    """Record what was found out about a message in doubt."""
    answers = {each.value: each for each in Resolution}
    views.operator_of(request).resolve(
        _message_id(request),
        _named(answers, str(form.get("answer", ""))),
        reason=forms.reason_of(form),
        provider_id=str(form.get("provider_id", "")).strip() or None,
    )
    return back("/in-doubt", "Answered for.")


@deed(Role.OPERATOR)
def change_channel(request: Request, form: FormData) -> str:
    """Pause or resume a channel."""
    operator = views.operator_of(request)
    channel = _named({each.value: each for each in Channel}, request.path_params["channel"])
    if request.path_params["act"] == "pause":
        operator.pause_channel(channel, reason=forms.reason_of(form))
        return back("/", f"{channel.value} is paused.")
    problem = operator.resume_channel(channel, reason=forms.optional_reason(form)).limits_problem
    if problem is not None:
        return back("/", f"{channel.value} is open; its limits and its breaker could not be cleared: {problem}.")
    return back("/", f"{channel.value} is open.")


@deed(Role.OPERATOR)
def change_campaign(request: Request, form: FormData) -> str:
    """Start, pause, resume, cancel or retry a campaign."""
    campaigns, asked, act = views.campaigns_of(request), request.path_params["name"], request.path_params["act"]
    reason = forms.text_of(form, "reason")
    channel = campaigns.books.find(asked).channel
    if act in ("start", "resume", "retry"):
        views.actor_of(request).require_for(channel)
    match act:
        case "start":
            campaigns.start(asked, reason=reason)
        case "pause":
            if reason is None:
                raise InvalidCampaign("reason", "is empty; say why in a few words")
            campaigns.pause(asked, reason=reason)
        case "resume":
            campaigns.resume(asked, reason=reason)
        case "cancel":
            campaigns.cancel(asked, reason=reason)
        case "retry":
            campaigns.retry_failed(asked, reason=reason)
        case _:
            raise HTTPException(404)
    return f"/campaigns/{campaigns.books.find(asked).id}"


def _message_id(request: Request) -> UUID:
    return parse_id(request.path_params["id"], missing=MessageNotFound)


def back(path: str, said: str) -> str:
    return f"{path}?{urlencode({'said': said})}"


def _named(known: dict[str, _Value], name: str) -> _Value:
    if name not in known:
        raise HTTPException(404)
    return known[name]


DEEDS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "/sign-out": sign_out,
    "/messages": search,
    "/dead": search,
    "/messages/{id}/replay": replay,
    "/messages/{id}/cancel": cancel,
    "/messages/{id}/resolve": resolve,
    "/operations": begin,
    "/operations/{id}/{act}": change_operation,
    "/channels/{channel}/{act}": change_channel,
    "/campaigns/{name}/{act}": change_campaign,
}
