"""What stands before every page: sign-in, same origin, tokens in forms, and headers that allow nothing foreign."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from dispatcher.domain.errors import LedgerOutdated, LedgerUnavailable
from dispatcher.web.people import LOCAL, Person
from dispatcher.web.sessions import COOKIE, Sessions

OPEN_PATHS = ("/healthz", "/readyz", "/static/", "/sign-in")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard(BaseHTTPMiddleware):
    """Lets in whoever signed in, and nothing that another site sent."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, is_signed_out: Callable[[str], bool]) -> None:
        super().__init__(app)
        self._sessions = sessions
        self._is_signed_out = is_signed_out

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer a request, or refuse it."""
        response = await self._answer(request, call_next)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "max-age=3600"
        return response

    async def _answer(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        path, cookie = request.url.path, request.cookies.get(COOKIE)
        local = not self._sessions.people.hashes
        if local and (request.url.hostname or "") not in ("127.0.0.1", "localhost", "::1", "testserver"):
            return PlainTextResponse("These pages are for this machine only.", 403)
        try:
            person = LOCAL if local else await self._person(request)
        except (LedgerUnavailable, LedgerOutdated) as error:
            return PlainTextResponse(f"The session cannot be checked: {error}", 503)
        request.state.person = person
        request.state.form_token = self._sessions.form_token(cookie)
        if request.method not in ("GET", "HEAD") and not same_origin(request):
            return PlainTextResponse("Refused: the form came from another site.", 403)
        if person is None and not path.startswith(OPEN_PATHS):
            if request.method != "GET":
                return PlainTextResponse("Sign in first.", 401)
            wanted = path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)
        return await call_next(request)

    async def _person(self, request: Request) -> Person | None:
        """Return whose session it is, with the role of now."""
        if request.url.path.startswith(OPEN_PATHS):
            return None
        session = self._sessions.read(request.cookies.get(COOKIE))
        if session is None or await run_in_threadpool(self._is_signed_out, session.id):
            return None
        return session.person


def equal(given: str, right: str) -> bool:
    """Compare what somebody sent with what it should be, in a time that tells nothing; it may be any text."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())


def same_origin(request: Request) -> bool:
    """Say whether a form was sent from a page of ours, by what the browser itself says of it."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host", "")


def safe_target(wanted: str) -> str:
    """Return where to go after signing in: only a path of ours.

    >>> safe_target("/dead?q=x"), safe_target("//evil.example"), safe_target("https://evil.example")
    ('/dead?q=x', '/', '/')
    """
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and "\n" not in wanted
    return wanted if plain else "/"


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs the plan that a form carries, so that what is confirmed is what was shown, and not long ago."""

    secret: str
    life_s: float = 15 * 60

    def sign(self, *parts: str) -> str:
        """Return the seal of a plan that is shown now."""
        now = f"{time.time():.0f}"
        return f"{now}.{self._digest(now, *parts)}"

    def holds(self, seal: str, *parts: str) -> bool:
        """Say whether the seal is of this very plan and not too old."""
        moment, _, digest = seal.partition(".")
        return equal(digest, self._digest(moment, *parts)) and time.time() - int(moment) <= self.life_s

    def _digest(self, *parts: str) -> str:
        return hmac.new(self.secret.encode(), "\x00".join(("plan", *parts)).encode(), hashlib.sha256).hexdigest()
