"""What a list was asked for. A search for numbers travels in a form's body; addresses carry it encrypted.

Addresses end up in logs of proxies, in histories and in Referer headers, so that a number in one is refused. Who may
see numbers sends the search box as a form; links of that page then carry ``q=sealed:…``, which only this person's
session opens, for as long as a session lives.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from starlette.exceptions import HTTPException
from starlette.requests import Request

from dispatcher.admin.actor import Role
from dispatcher.domain.query import parse_query
from dispatcher.web.sessions import LIFE

SEALED = "sealed:"
MAY_SEE_NUMBERS = Role.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A query and how it came."""

    text: str
    link: str
    """What stands for it in addresses: itself, or encrypted if it asks for numbers."""
    private: bool
    """It asks for numbers and came by a way that allows that."""


@dataclass(frozen=True, slots=True)
class SearchCipher:
    """Encrypts searches for numbers for addresses."""

    secret: str

    def encrypt(self, person: str, text: str) -> str:
        """Return what stands for a person's search in addresses."""
        return SEALED + self._fernet().encrypt(json.dumps([person, text]).encode()).decode()

    def decrypt(self, person: str, link: str) -> str:
        """Return the search that a link stands for.

        :raises HTTPException: it is another person's, too old, or none of ours.
        """
        try:
            found = self._fernet().decrypt(link.removeprefix(SEALED).encode(), ttl=int(LIFE.total_seconds()))
            owner, text = json.loads(found)
        except (InvalidToken, ValueError):
            raise HTTPException(400, "this link to a search is too old; search again") from None
        if owner != person:
            raise HTTPException(403, "this link to a search for numbers is another person's; search again")
        return str(text)

    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"search {self.secret}".encode()).digest()))


def asked(request: Request) -> Search:
    """Return what an address asks for."""
    link = request.query_params.get("q", "")
    if not link.startswith(SEALED):
        return Search(text=link, link=link, private=False)
    require_numbers(request)
    cipher: SearchCipher = request.app.state.search_cipher
    return Search(text=cipher.decrypt(request.state.person.name, link), link=link, private=True)


def typed(request: Request, text: str, *, now: datetime) -> Search:
    """Return what the form of a list asks for. A search for numbers is for a role; whoever answers it audits it.

    :raises HTTPException: the person may not see numbers.
    :raises QueryError: the query cannot be read.
    """
    if parse_query(text, now=now).private is None:
        return Search(text=text, link=text, private=False)
    require_numbers(request)
    cipher: SearchCipher = request.app.state.search_cipher
    return Search(text=text, link=cipher.encrypt(request.state.person.name, text), private=True)


def require_numbers(request: Request) -> None:
    """Refuse whoever may not see numbers."""
    if request.state.person.role < MAY_SEE_NUMBERS:
        raise HTTPException(403, "searching for numbers is for the role operator; you have another")
