"""What came of a call, as an outcome: from the API's answer, or from the fault that kept it away. Pure.

**The status line is the answer.** Whatever happens to the body after it (cut, stalled, garbage, endless) changes
what we know about the answer, not what the API decided. **Whether bytes left decides about a fault**, never the type
of the exception: no byte left means that nothing can have happened; one byte left means that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self, assert_never
from urllib.parse import urlsplit

import orjson

from dispatcher.domain.outcome import REQUEST_IDS, Outcome, OutcomeKind
from dispatcher.domain.retry_after import parse_retry_after
from dispatcher.gateway.redact import NOTHING_PRIVATE, Private, readable, redact, tells_whole

RESPONSE_CAP = 4096
"""Bytes of an answer that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API answered, as far as it came."""

    status: int
    retry_after: str | None = None
    date: str | None = None
    location: str | None = None
    request_ids: tuple[tuple[str, str], ...] = ()
    """The headers of ``REQUEST_IDS`` that came."""
    body: bytes = field(default=b"", repr=False)
    complete: bool = True
    """False if the body (or a header) was cut, stalled or too long to be read to its end."""

    @classmethod
    def heard(cls, status: int, headers: Mapping[str, str], body: bytes, *, complete: bool) -> Self:
        """Return an answer whose head came whole.

        :param headers: found whatever their letters' case.
        """
        return cls(
            status=status,
            retry_after=headers.get("Retry-After"),
            date=headers.get("Date"),
            location=headers.get("Location"),
            request_ids=tuple((name, value) for name in REQUEST_IDS if (value := headers.get(name))),
            body=body,
            complete=complete,
        )


class FaultKind(StrEnum):
    """What broke. The values are the short names that operators read."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    PROXY = "proxy"
    TLS_HANDSHAKE = "tls_handshake"
    CERTIFICATE = "certificate"
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"
    GARBAGE = "garbage"
    LEASE_OVER = "lease_over"
    CLOSED = "closed"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why there is no answer."""

    kind: FaultKind
    bytes_left: bool
    """Whether a byte of the request may have left this machine. When nobody knows, it is True."""
    detail: str = ""
    """In words, free of secrets; for UNEXPECTED the error's class name."""


LEASE_OVER = Fault(kind=FaultKind.LEASE_OVER, bytes_left=False, detail="its lease ran out while it waited for its turn")
CLOSED = Fault(kind=FaultKind.CLOSED, bytes_left=False, detail="the transport was closed before the call began")


def outcome_of(result: Answer | Fault, *, now: datetime, private: Private = NOTHING_PRIVATE) -> Outcome:
    """Return what a call came to.

    :param now: aware; what a Retry-After given as a moment counts from if the answer has no Date.
    :param private: what is taken out of the evidence.
    """
    match result:
        case Answer():
            return outcome_of_answer(result, now=now, private=private)
        case Fault():
            return outcome_of_fault(result)
        case _:
            assert_never(result)


def outcome_of_answer(answer: Answer, *, now: datetime, private: Private = NOTHING_PRIVATE) -> Outcome:
    """Return what the API decided.

    >>> outcome_of_answer(Answer(status=202, body=b'{"id": 7}'), now=datetime.max).provider_id
    '7'
    >>> outcome_of_answer(Answer(status=503, complete=False), now=datetime.max).kind
    <OutcomeKind.FAILED: 'failed'>
    """
    kind = kind_of_status(answer.status)
    content = _content(answer.body)
    error, description, retry_after = None, None, None
    if kind is not OutcomeKind.ACCEPTED:
        error, description = _complaint(answer, content)
    if kind in (OutcomeKind.THROTTLED, OutcomeKind.FAILED):
        retry_after = parse_retry_after(answer.retry_after, date=answer.date, now=now)
    return Outcome(
        kind=kind,
        http_status=answer.status,
        error=_line(error, 100, private),
        error_description=_line(description, 500, private),
        retry_after=retry_after,
        provider_id=_provider_id(content, private) if kind is OutcomeKind.ACCEPTED else None,
        response=_evidence(answer, private),
        request_ids=tuple(_request_ids(answer, private)),
    )


def kind_of_status(status: int) -> OutcomeKind:
    """Return what an HTTP status says; one outside of HTTP's ranges (or an interim one, 1xx) says nothing.

    >>> kind_of_status(204), kind_of_status(451), kind_of_status(999)
    (<OutcomeKind.ACCEPTED: 'accepted'>, <OutcomeKind.REJECTED: 'rejected'>, <OutcomeKind.IN_DOUBT: 'in_doubt'>)
    """
    return _STATUSES.get(status) or _HUNDREDS.get(status // 100, OutcomeKind.IN_DOUBT)


def outcome_of_fault(fault: Fault) -> Outcome:
    """Return what a call without an answer came to.

    >>> outcome_of_fault(Fault(kind=FaultKind.RESET, bytes_left=True)).error
    'reset_after_send'
    """
    return Outcome(kind=_kind_of_fault(fault), error=_name_of_fault(fault), error_description=fault.detail or None)


_STATUSES = MappingProxyType(
    {
        401: OutcomeKind.UNAUTHORIZED,
        402: OutcomeKind.MISCONFIGURED,  # the account cannot pay, for this message or for any
        403: OutcomeKind.MISCONFIGURED,
        404: OutcomeKind.MISCONFIGURED,
        405: OutcomeKind.MISCONFIGURED,
        407: OutcomeKind.MISCONFIGURED,  # it is our proxy that refuses, and it would refuse every message
        408: OutcomeKind.FAILED,
        409: OutcomeKind.CONFLICT,
        421: OutcomeKind.MISCONFIGURED,  # the wrong host (RFC 9110, section 15.5.20)
        425: OutcomeKind.FAILED,
        429: OutcomeKind.THROTTLED,
    }
)
_HUNDREDS = MappingProxyType(
    {2: OutcomeKind.ACCEPTED, 3: OutcomeKind.MISCONFIGURED, 4: OutcomeKind.REJECTED, 5: OutcomeKind.FAILED}
)


def _kind_of_fault(fault: Fault) -> OutcomeKind:
    if fault.bytes_left:
        return OutcomeKind.IN_DOUBT
    match fault.kind:
        case FaultKind.CERTIFICATE:
            return OutcomeKind.MISCONFIGURED
        case (
            FaultKind.DNS
            | FaultKind.REFUSED
            | FaultKind.UNREACHABLE
            | FaultKind.CONNECT_TIMEOUT
            | FaultKind.PROXY
            | FaultKind.TLS_HANDSHAKE
            | FaultKind.READ_TIMEOUT
            | FaultKind.RESET
            | FaultKind.GARBAGE
            | FaultKind.LEASE_OVER
            | FaultKind.CLOSED
            | FaultKind.UNEXPECTED
        ):
            return OutcomeKind.NOT_SENT
        case _:
            assert_never(fault.kind)


def _name_of_fault(fault: Fault) -> str:
    if fault.kind is FaultKind.UNEXPECTED and fault.detail:
        return fault.detail
    if fault.kind is FaultKind.RESET and fault.bytes_left:
        return "reset_after_send"
    return fault.kind.value


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


_TELLING = 9
"""So many digits of a number do not stand in an id by chance, however they are grouped."""


def _provider_id(content: dict[str, Any], private: Private) -> str | None:
    data = content.get("data")
    nested = data.get("id") if isinstance(data, dict) else None
    for value in (content.get("id"), content.get("messageId"), content.get("message_id"), nested):
        if isinstance(value, str | int) and not isinstance(value, bool):
            text = " ".join(readable(str(value)).split())
            if text:
                return _without_whole(text, private)[:200]
    return None


def _without_whole(text: str, private: Private) -> str:
    """Hide only what is beyond doubt: an id that is altered by mistake can never be looked up again."""
    for whole in (private.recipient.lstrip("+"), private.secret):
        if whole:
            text = text.replace(whole, "[hidden]")
    grouped = len(private.recipient) >= _TELLING and private.recipient[-_TELLING:] in "".join(
        filter(str.isdecimal, text)
    )
    return "[hidden]" if grouped or tells_whole(text, private.text) else text


def _complaint(answer: Answer, content: dict[str, Any]) -> tuple[Any, Any]:
    """Return the API's error and its description: ``{"error", "error_description"}``, or what is nearest to it."""
    error: Any = content.get("error")
    description: Any = content.get("error_description")
    if isinstance(error, dict):
        error, description = error.get("code"), error.get("message")
    error = error or content.get("code")
    # API Gateway's own errors have "message", those of its authorizers and of AWS services "Message".
    description = description or content.get("message") or content.get("Message") or content.get("detail")
    match answer.status // 100:
        case 3:
            return error or "redirect", description or f"redirects{_target(answer.location)}; it was not followed"
        case 2 | 4 | 5:
            return error, description
        case _:
            return error or "odd_status", description or "the answer's status says neither yes nor no"


_LONGEST_ID = 128


def _request_ids(answer: Answer, private: Private) -> Iterator[tuple[str, str]]:
    """Yield the ids by which the provider finds the call: printable, short, without anything private."""
    for name, value in answer.request_ids:
        text = " ".join(readable(value).split())[:_LONGEST_ID]
        if text:
            yield name, _without_whole(text, private)


def _target(location: str | None) -> str:
    """Return where a redirect leads, without path and query, which may carry anything."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        host = None
    return f" to {host}" if host else ""


def _line(value: Any, cap: int, private: Private) -> str | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    text = re.sub(r"\s+", " ", redact(readable(str(value)), private)).strip()
    return (text if len(text) <= cap else text[: cap - 1] + "…") or None


def _evidence(answer: Answer, private: Private) -> str | None:
    """Return the body as text, redacted whole and only then cut, so that the cut leaves no half of a secret."""
    text = redact(readable(_unescaped(answer.body.decode("utf-8", "replace"))), private)
    if not answer.complete:
        text += "… the answer broke off here"
    encoded = text.encode()
    if len(encoded) > RESPONSE_CAP:
        text = encoded[: RESPONSE_CAP - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT
    return text or None


_CUT = "… cut at 4 kB"
_UNICODE_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def _unescaped(text: str) -> str:
    r"""Return JSON's ``\u00e9`` as characters: for the reader, and so that the message is known in any spelling."""
    if "\\u" not in text:
        return text
    return _UNICODE_ESCAPES.sub(
        lambda run: bytes.fromhex(run[0].replace("\\u", "")).decode("utf-16-be", "replace"), text
    )
