"""Sessions: signed cookies that say who signed in, and when that stops to count."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer

from dispatcher.web.people import People, Person

COOKIE = "dispatcher_session"
BROWSER_COOKIE = "dispatcher_browser"
LIFE = timedelta(hours=12)
BROWSER_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A cookie that we signed, of somebody whom the settings still have as they were then."""

    id: str
    person: Person
    """With the role of now."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes and reads cookies, and the token that every form carries, derived from the session.

    A session ends after 12 hours, and as soon as the settings give its person another role or password, or do not
    name it any more. Signing out is recorded in the ledger, so that a copy of the cookie is worth nothing either.
    """

    secret: str
    people: People

    def begin(self, person: Person) -> str:
        """Return the cookie of a new session."""
        return self._signer("session").dumps([person.name, secrets.token_hex(16), self.people.epoch(person.name)])

    def read(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie; None if it is none of ours, too old, or of another epoch of its person."""
        found = self._loaded("session", cookie, LIFE)
        if found is None or len(found) != 3:
            return None
        name, id_, epoch = found
        person = self.people.find(name)
        if person is None or not hmac.compare_digest(epoch.encode(), self.people.epoch(name).encode()):
            return None
        return Session(id=id_, person=person)

    def remember_browser(self, person: Person) -> str:
        """Return the cookie by which a browser is known in which this person has signed in."""
        return self._signer("browser").dumps([person.name, secrets.token_hex(16)])

    def known_browser(self, cookie: str | None, name: str) -> str | None:
        """Return the id of a browser in which this person has signed in before; None if it has not."""
        found = self._loaded("browser", cookie, BROWSER_LIFE)
        return found[1] if found is not None and len(found) == 2 and found[0] == name else None

    def form_token(self, cookie: str | None) -> str:
        """Return the token for the forms of a session."""
        return hmac.new(self.secret.encode(), f"form {cookie or ''}".encode(), hashlib.sha256).hexdigest()

    def _loaded(self, salt: str, cookie: str | None, life: timedelta) -> list[str] | None:
        try:
            found = self._signer(salt).loads(cookie or "", max_age=int(life.total_seconds()))
        except (BadSignature, ValueError):
            return None
        return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else None

    def _signer(self, salt: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt=salt)
