"""What a call to the API looks like: the path, scope and body of each channel's send, and the headers of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from dispatcher.domain.attempt import Claimed
from dispatcher.ports import Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How one channel is sent. All that is particular to a channel on the wire stands here and in its own module."""

    path: str
    """Under the base URL, with its leading slash."""
    scope: str
    """What the token must have been granted."""
    max_idle: timedelta
    """A connection that rested longer is not used again: the server may be closing it, and then nobody knows."""
    body: Callable[[Claimed], bytes]
    """The JSON of one message."""
    read_timeout: timedelta | None = None
    """From the request's first byte to the answer's last; None: as long as the transport's other calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, as any client can carry it."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    max_idle: timedelta
    read_timeout: timedelta | None = None


def send_request(endpoint: Endpoint, message: Claimed, token: Token) -> Request:
    """Build the request that sends a message; its Idempotency-Key is the same on every attempt at one content."""
    body = endpoint.body(message)
    headers = {
        "Authorization": f"Bearer {token.value}",
        "Idempotency-Key": message.api_key,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **_ALWAYS,
    }
    return Request(
        method="POST",
        path=endpoint.path,
        headers=headers,
        body=body,
        max_idle=endpoint.max_idle,
        read_timeout=endpoint.read_timeout,
    )


def probe_request(path: str, token: Token) -> Request:
    """Build the request that only asks whether the API works and takes the token."""
    headers = {"Authorization": f"Bearer {token.value}", **_ALWAYS}
    return Request(method="GET", path=path, headers=headers, body=None, max_idle=timedelta(0))


def _user_agent() -> str:
    try:
        return f"dispatcher/{version('dispatcher')}"
    except PackageNotFoundError:
        return "dispatcher"


_ALWAYS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _user_agent()}
