"""The bodies of requests: bounded in size before anything reads them, and in fields before anything parses them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 256 * 1024
"""The largest body, unless its path takes more."""
MOST_FIELDS = 200
"""The most fields of a form. A plan has one for each message that is selected on a page of 50."""
_PATIENCE_S = 30.0


class BodyTooLarge(HTTPException):
    """The body is larger than its path takes; at the most that much of it was read into memory."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"the body is larger than {most:,} bytes, the most that is taken here")


class BoundedBodies:
    """Lets no route read more of a body than its path takes, whether its length is declared or not."""

    def __init__(self, app: ASGIApp, *, most: Callable[[str], int]) -> None:
        """Wrap an application.

        :param most: the largest body that a path takes, in bytes.
        """
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A route that reads a body which is too large gets BodyTooLarge, a 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, headers, taken = self._most(scope["path"]), Headers(scope=scope), 0
        declared = headers.get("content-length", "")
        too_large = declared.isdecimal() and int(declared[:20]) > most

        async def bounded() -> Message:
            nonlocal taken
            if too_large and headers.get("expect", "").lower() == "100-continue":
                raise BodyTooLarge(most)  # its sender waits for this answer before it sends anything
            message = await receive()
            taken += len(message.get("body", b""))
            if too_large or taken > most:
                await _discard(message, receive)
                raise BodyTooLarge(most)
            return message

        await self._app(scope, bounded, send)


async def read_form(request: Request, *, max_files: int = 0) -> FormData:
    """Read a form of at most 200 fields.

    :raises BodyTooLarge: it is larger than its path takes.
    :raises HTTPException: 413 for more fields, 400 for a form that cannot be read, and for files that are not taken.
    """
    if "urlencoded" in request.headers.get("content-type", ""):
        body = await request.body()
        if body.count(b"&") + body.count(b";") >= MOST_FIELDS:
            raise HTTPException(413, f"the form has more than {MOST_FIELDS} fields")
    return await request.form(max_files=max_files, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES)


async def _discard(message: Message, receive: Receive) -> None:
    """Read the rest of a body for a while without keeping it: a client that still sends may not see the answer."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()
    except TimeoutError:
        pass
