"""Putting one message right before it is sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.admin import MessageEdit
from dispatcher.admin.actor import Role
from dispatcher.domain.errors import InvalidMessage, MessageNotFound, TransitionRefused
from dispatcher.domain.identity import parse_id
from dispatcher.domain.message import Channel
from dispatcher.domain.texts import with_newlines
from dispatcher.ledger import Message
from dispatcher.ledger.operations import CONTENT_IS_GONE
from dispatcher.web import forms, views
from dispatcher.web.deeds import back, deed
from dispatcher.web.rendering import page

_PARTS = {Channel.SMS: ("recipient", "body"), Channel.GIFT: ("recipient", "sku", "amount", "currency", "note")}


def edit_page(request: Request) -> Response:
    """Show what a message is, to be changed."""
    actor = views.actor_of(request)
    actor.require(Role.OPERATOR)
    message = _message(request)
    actor.require_for(message.channel)
    if message.redacted_at is not None:
        raise TransitionRefused(message.id, message.state.value, "edited", allowed=CONTENT_IS_GONE)
    views.operator_of(request).record("reveal", f"message:{message.id}")
    return _form(request, message, _typed(message, None))


@deed(Role.OPERATOR)
def edit(request: Request, form: FormData) -> str | Response:
    """Put a message right and send it again."""
    message, operator = _message(request), views.operator_of(request)
    views.actor_of(request).require_for(message.channel)
    typed = _typed(message, form)
    was = _typed(message, None)
    changes = MessageEdit(**{name: value for name, value in typed.items() if value != was[name]})
    try:
        at, reason = forms.moment_of(form, "at"), forms.reason_of(form)
        operator.replay(message.id, reason=reason, at=at, changes=changes)
    except InvalidMessage as wrong:
        return _form(request, message, typed, wrong)
    return back(f"/messages/{message.id}", "Put right and queued again." if changes.any else "Queued again.")


def _message(request: Request) -> Message:
    return views.services_of(request).books.message(parse_id(request.path_params["id"], missing=MessageNotFound))


def _typed(message: Message, form: FormData | None) -> dict[str, str]:
    """Return each part of the message, as it was typed or as it stands."""
    if form is not None:
        # A browser sends line ends as CR LF, whatever they were.
        return {name: with_newlines(str(form.get(name, ""))) for name in _PARTS[message.channel]}
    source = message if message.gift is None else message.gift
    found = {name: str(getattr(source, name)) for name in _PARTS[message.channel] if name != "recipient"}
    return {"recipient": str(message.recipient), **found}


def _form(request: Request, message: Message, typed: dict[str, str], wrong: InvalidMessage | None = None) -> Response:
    return page(request, "edit.html", 400 if wrong else 200, message=message, typed=typed, wrong=wrong)


PAGES: dict[str, Callable[[Request], Response]] = {"/messages/{id}/edit": edit_page}
DEEDS: dict[str, Callable[[Request], Awaitable[Response]]] = {"/messages/{id}/edit": edit}
