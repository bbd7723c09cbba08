"""What the API's answer to a token call means (RFC 6749, sections 5.1 and 5.2): a pure reading of whatever came."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

from dispatcher.domain.retry_after import parse_retry_after
from dispatcher.oauth.token import (
    ASSUMED_LIFETIME,
    LONGEST_LIFETIME,
    Credentials,
    FailureKind,
    Minted,
    MintFailed,
    trusted,
)

LONGEST_BODY = 64 * 1024
"""Bytes read of an answer; a token is never that long."""
_LONGEST_RETRY_AFTER = timedelta(hours=1)
_LONGEST_TOKEN = 16 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What can stand in an Authorization header (RFC 6749, appendix A.12, without the space)."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""RFC 6749, section 3.3."""

_KINDS = {
    "invalid_client": FailureKind.CREDENTIALS,
    "invalid_scope": FailureKind.SCOPE,
    "insufficient_scope": FailureKind.SCOPE,
    "temporarily_unavailable": FailureKind.TRANSIENT,
    "server_error": FailureKind.TRANSIENT,
    "slow_down": FailureKind.TRANSIENT,
}
_CODES = frozenset(_KINDS) | {"invalid_request", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
"""Words of the protocol, which may well contain a client id such as "client"."""
_ADVICE = {
    FailureKind.TRANSIENT: "it is tried again",
    FailureKind.CREDENTIALS: "correct DISPATCHER_CLIENT_ID and DISPATCHER_CLIENT_SECRET",
    FailureKind.SCOPE: "correct DISPATCHER_SCOPES or ask the provider to grant them",
    FailureKind.CONFIGURATION: "check DISPATCHER_API_BASE_URL and DISPATCHER_TOKEN_PATH with the provider",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from the token call."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Looked up in lower case."""
    body: bytes = field(repr=False)
    """At the most LONGEST_BODY bytes and one more, which tells that there was too much."""
    taken: timedelta
    received_at: datetime


def read_answer(answer: Answer, credentials: Credentials) -> Minted | MintFailed:
    """Say what the answer means: a token, or why there is none."""
    said = _object(answer.body)
    error = said.get("error")
    if 200 <= answer.status < 300 and not (error and isinstance(error, str)):
        return _granted(answer, said, credentials)
    kind = _kind(answer.status, error)
    detail = _detail(said, credentials)
    reason = f"the API refused a token: it answered {_named(answer.status)}{detail}; {_ADVICE[kind]}"
    return MintFailed(kind=kind, reason=reason, http_status=answer.status, retry_after=_retry_after(answer))


def _granted(answer: Answer, said: Mapping[str, Any], credentials: Credentials) -> Minted | MintFailed:
    value, kind = said.get("access_token"), said.get("token_type")
    if len(answer.body) > LONGEST_BODY:
        return _senseless(answer, "more than 64 KiB")
    if not said:
        return _senseless(answer, "something that is not a JSON object")
    if not isinstance(value, str) or len(value) > _LONGEST_TOKEN or not _TOKEN.fullmatch(value):
        return _senseless(answer, "no access_token that could be used")
    if kind not in (None, "") and not (isinstance(kind, str) and kind.lower() == "bearer"):
        return MintFailed(
            kind=FailureKind.CONFIGURATION,
            reason="the API granted a token that is not of type Bearer, so nothing can be sent with it; "
            + _ADVICE[FailureKind.CONFIGURATION],
            http_status=answer.status,
        )
    lifetime = _lifetime(said.get("expires_in"))
    if answer.taken >= trusted(lifetime):
        return MintFailed(
            kind=FailureKind.TRANSIENT,
            reason=f"the API granted a token for {lifetime.total_seconds():g} s, but answered only after "
            f"{answer.taken.total_seconds():.1f} s, too late to use it; it is tried again",
            http_status=answer.status,
        )
    scopes = _scopes(said.get("scope"), credentials.scopes)
    return Minted(value=value, lifetime=lifetime, scopes=scopes, taken=answer.taken, oddities=tuple(_oddities(said)))


def _oddities(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is against RFC 6749 in an answer that is clear all the same."""
    granted = said.get("scope")
    if said.get("token_type") in (None, ""):
        yield "it has no token_type; taken for Bearer"
    if "error" in said:
        yield "it has an empty error beside the token; taken for none"
    if isinstance(granted, list):
        yield "its scope is a list; taken for text with spaces"
    elif isinstance(granted, str) and "," in granted:
        yield "its scope has commas; taken for spaces"
    if said.get("expires_in") is None:
        yield f"it has no expires_in; trusted for {ASSUMED_LIFETIME.total_seconds():g} s"


def _senseless(answer: Answer, what: str) -> MintFailed:
    return MintFailed(
        kind=FailureKind.TRANSIENT,
        reason=f"the token call was answered {_named(answer.status)} with {what}; it is tried again; if this lasts, "
        + _ADVICE[FailureKind.CONFIGURATION],
        http_status=answer.status,
        retry_after=_retry_after(answer),
    )


def _kind(status: int, error: object) -> FailureKind:
    if status >= 500 or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}:
        return FailureKind.TRANSIENT
    if isinstance(error, str) and error in _KINDS:
        return _KINDS[error]
    return FailureKind.CREDENTIALS if status == HTTPStatus.UNAUTHORIZED else FailureKind.CONFIGURATION


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body[:LONGEST_BODY])
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lifetime(expires_in: object) -> timedelta:
    """Seconds, as a number or (against the RFC, but seen) as its text."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return ASSUMED_LIFETIME
    try:
        seconds = float(expires_in)
    except (ValueError, OverflowError):
        return ASSUMED_LIFETIME
    if not math.isfinite(seconds) or seconds <= 0:
        return ASSUMED_LIFETIME
    return timedelta(seconds=min(seconds, LONGEST_LIFETIME.total_seconds()))


def _scopes(granted: object, asked: frozenset[str]) -> frozenset[str]:
    """A missing scope means "as asked" (RFC 6749, section 5.1); a list or commas, though no RFC has them, are read."""
    if granted is None:
        return asked
    words = granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else []
    named = frozenset(word for word in words if isinstance(word, str) and _SCOPE.fullmatch(word))
    if named <= asked:  # a scope's own name may have a comma
        return named
    return frozenset(part for word in named for part in word.split(",") if part)


def _retry_after(answer: Answer) -> timedelta | None:
    headers = answer.headers
    return parse_retry_after(
        headers.get("retry-after"),
        date=headers.get("date"),
        now=answer.received_at,
        shortest=timedelta(0),
        longest=_LONGEST_RETRY_AFTER,
    )


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _detail(said: Mapping[str, Any], credentials: Credentials) -> str:
    """The API's own words, fit for a log and for Redis: short, printable, without what they repeat of the request."""
    # API Gateway's own errors have "message", those of its authorizers and of AWS services "Message".
    error = said.get("error")
    nested = error if isinstance(error, dict) else {}
    first = [said.get("error"), nested.get("code")]
    then = [said.get("error_description"), nested.get("message"), said.get("message"), said.get("Message")]
    words = [next((word for word in group if word and isinstance(word, str)), "") for group in (first, then)]
    spoken = [word if word in _CODES else _discreet(word, credentials) for word in words]
    text = ": ".join(word for word in spoken if word)[:200]
    return f" ({text})" if text else ""


def _discreet(text: str, credentials: Credentials) -> str:
    pair = f"{credentials.client_id}:{credentials.client_secret}"
    text = "".join(each for each in " ".join(text.split()) if each.isprintable())
    for private in (base64.b64encode(pair.encode()).decode(), credentials.client_secret, credentials.client_id):
        for form in (private, quote_plus(private)):
            text = text.replace(form, "…") if form else text
    return text
