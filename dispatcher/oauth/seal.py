"""Sealing: what Redis keeps, and anybody may find in a dump of it, gives neither the token nor whose it is."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dispatcher.oauth.token import Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a sealed record held."""

    value: str = field(repr=False)
    scopes: frozenset[str]


class Seal:
    """Seals tokens for one audience with a key that only holders of the client secret can derive.

    Fernet binds no context to a ciphertext, so the audience stands inside and is checked after opening.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._audience = hashlib.sha256(credentials.audience).hexdigest()
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(credentials, purpose=b"seal", length=32)))
        self._credentials = _derived(credentials, purpose=b"name", length=8).hex()

    @property
    def audience(self) -> str:
        """A digest of token URL, client id and scopes."""
        return self._audience

    @property
    def credentials(self) -> str:
        """A name for the audience and its secret that tells neither: a new secret has a new name."""
        return self._credentials

    def close(self, value: str, scopes: frozenset[str]) -> str:
        """Return the sealed token as text."""
        held = {"token": value, "audience": self._audience, "scopes": sorted(scopes)}
        return self._fernet.encrypt(json.dumps(held).encode()).decode()

    def open(self, sealed: str) -> Opened | None:
        """Return what was sealed; None for whatever was not sealed here, with this secret and for this audience."""
        try:
            held = json.loads(self._fernet.decrypt(sealed))
        except (InvalidToken, ValueError):
            return None
        match held:
            case {"token": str(value), "audience": self._audience, "scopes": list(scopes)} if value:
                return Opened(value=value, scopes=frozenset(map(str, scopes)))
            case _:
                return None


def _derived(credentials: Credentials, *, purpose: bytes, length: int) -> bytes:
    info = b"dispatcher token " + purpose + b" " + credentials.audience
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(credentials.client_secret.encode())
