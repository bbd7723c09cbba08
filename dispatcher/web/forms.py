"""What forms of several pages are read by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from dispatcher.domain.errors import InvalidMessage
from dispatcher.web.guard import equal


def require_token(request: Request, form: FormData) -> None:
    """Refuse a form without its own page's token."""
    if not equal(str(form.get("token", "")), request.state.form_token):
        raise HTTPException(403, "the form is too old; load the page again and repeat it")


def text_of(form: FormData, name: str) -> str | None:
    """Return what was typed into a field; None if nothing was."""
    return str(form.get(name, "")).strip() or None


def optional_reason(form: FormData) -> str | None:
    """Return the reason for the audit trail, cut to the length that it holds; None if none was given."""
    reason = text_of(form, "reason")
    return reason and reason[:500]


def reason_of(form: FormData) -> str:
    """Return the reason that the audit trail needs; refuses a form without one."""
    reason = optional_reason(form)
    if reason is None:
        raise HTTPException(400, "give a reason; it is kept in the audit trail")
    return reason


def moment_of(form: FormData, name: str) -> datetime | None:
    """Return the moment that was chosen, in UTC as the page says; None if none was.

    :raises InvalidMessage: it is none.
    """
    text = text_of(form, name)
    try:
        return None if text is None else in_utc(text)
    except ValueError as wrong:
        raise InvalidMessage(name, str(wrong)) from None


def in_utc(text: str) -> datetime:
    """Read a moment as a browser's field for one writes it.

    :raises ValueError: it is none; the sentence says what would be.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a moment; write it as 2026-11-24T09:00, in UTC") from None


def number_of(form: FormData, name: str) -> float | None:
    """Return a positive number; None if there is none.

    :raises InvalidMessage: it is none.
    """
    text: Any = text_of(form, name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise InvalidMessage(name, f"{text!r} is not a number above 0")
    return value
