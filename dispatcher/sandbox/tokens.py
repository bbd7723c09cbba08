"""The provider's access tokens: JSON Web Tokens (RFC 7519) signed with HS256, so that none can be made up.

What a token says is believed only with a good signature, before its expiry by this machine's clock, and while
it is not revoked. A token seen before is looked up rather than verified anew, as that is most of a send's cost.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from dispatcher.sandbox.refusal import Refusal

ISSUER = "dispatcher-sandbox"
AUDIENCE = "dispatcher-sandbox-api"
_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are unix seconds."""

    client_id: str
    scopes: frozenset[str]
    issued_at: float
    expires_at: float
    jti: str


class Tokens:
    """Issues, checks and revokes."""

    def __init__(self, signing_key: str | None) -> None:
        self._key = signing_key.encode() if signing_key is not None else secrets.token_bytes(32)
        self._verified: dict[str, Claims] = {}
        self._revoked: set[str] = set()
        self._revoked_until = float("-inf")

    def issue(self, client_id: str, scopes: frozenset[str], lives_s: int, now: float) -> tuple[str, Claims]:
        """A new token, really good for `lives_s` seconds from `now`."""
        claims = Claims(client_id, scopes, now, now + lives_s, secrets.token_hex(16))
        payload = {
            "iss": ISSUER,
            "sub": client_id,
            "aud": AUDIENCE,
            "scope": " ".join(sorted(scopes)),
            "iat": claims.issued_at,
            "exp": claims.expires_at,
            "jti": claims.jti,
        }
        signed = f"{_encoded(_HEADER)}.{_encoded(payload)}"
        return f"{signed}.{self._signature(signed)}", claims

    def check(self, authorization: str | None, scope: str | None, now: float) -> Claims:
        """The claims of the bearer token in an Authorization header (RFC 6750, section 2.1).

        Raises:
            Refusal: 401 where the token does not hold, 403 where it lacks `scope`.
        """
        if authorization is None:
            raise _invalid_token("no bearer token was given")
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            raise _invalid_token("the Authorization header must say Bearer and a token")
        claims = self._verified.get(token) or self._verify(token.strip())
        if now >= claims.expires_at:
            raise _invalid_token("the token has expired")
        if claims.jti in self._revoked or claims.issued_at <= self._revoked_until:
            raise _invalid_token("the token was revoked")
        if scope is not None and scope not in claims.scopes:
            raise _insufficient_scope(scope)
        return claims

    def revoke(self, jti: str) -> None:
        """Refuse this one token from now on."""
        self._revoked.add(jti)

    def revoke_all(self, now: float) -> None:
        """Refuse every token issued until `now`."""
        self._revoked_until = now

    def _verify(self, token: str) -> Claims:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(signed).encode()):
            raise _invalid_token("the token is malformed or its signature does not hold")
        try:
            claims = _claims(_decoded(signed.partition(".")[2]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _invalid_token("the token is signed, but lacks what a token of this provider says") from None
        if len(self._verified) >= _MOST_REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _signature(self, signed: str) -> str:
        digest = hmac.digest(self._key, signed.encode("utf-8", "replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


_HEADER = {"alg": "HS256", "typ": "JWT"}


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decoded(part: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload


def _claims(payload: dict[str, Any]) -> Claims:
    return Claims(
        client_id=payload["sub"],
        scopes=frozenset(payload["scope"].split()),
        issued_at=float(payload["iat"]),
        expires_at=float(payload["exp"]),
        jti=payload["jti"],
    )


def _invalid_token(description: str) -> Refusal:
    return Refusal(
        401,
        "invalid_token",
        description,
        {"WWW-Authenticate": f'Bearer realm="sandbox", error="invalid_token", error_description="{description}"'},
    )


def _insufficient_scope(scope: str) -> Refusal:
    return Refusal(
        403,
        "insufficient_scope",
        f"this call needs the scope {scope}",
        {"WWW-Authenticate": f'Bearer realm="sandbox", error="insufficient_scope", scope="{scope}"'},
    )
