"""What stands before every page: sign-in, same origin, tokens in forms, and headers that allow nothing foreign."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from dispatcher.web.people import LOCAL, People, Person, Role

COOKIE = "dispatcher_session"
SESSION_S = 12 * 3600
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


@dataclass(frozen=True, slots=True)
class Sessions:
    """Signed cookies; and the token that every form carries, derived from the session."""

    secret: str

    def begin(self, person: Person) -> str:
        """Return the cookie of a new session."""
        return self._signer().dumps([person.name, person.role.name, secrets.token_hex(8)])

    def read(self, cookie: str | None) -> Person | None:
        """Return whose session it is; None if it is nobody's, or too old."""
        try:
            name, role, _ = self._signer().loads(cookie or "", max_age=SESSION_S)
        except (BadSignature, ValueError):
            return None
        return Person(name=name, role=Role[role])

    def form_token(self, cookie: str | None) -> str:
        """Return the token for the forms of a session."""
        return hmac.new(self.secret.encode(), f"form {cookie or ''}".encode(), hashlib.sha256).hexdigest()

    def _signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt="session")


class Guard(BaseHTTPMiddleware):
    """Lets in whoever signed in, and nothing that another site sent."""

    def __init__(self, app: ASGIApp, *, people: People, sessions: Sessions) -> None:
        super().__init__(app)
        self._people = people
        self._sessions = sessions

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
        local = not self._people.hashes
        if local and (request.url.hostname or "") not in ("127.0.0.1", "localhost", "::1", "testserver"):
            return PlainTextResponse("These pages are for this machine only.", 403)
        person = LOCAL if local else self._sessions.read(cookie)
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
