"""The checks of a token request: client-credentials grant (RFC 6749, section 4.4) with HTTP Basic (RFC 7617)."""

import base64
import binascii
import hmac
from urllib.parse import parse_qs, unquote_plus

from dispatcher.sandbox.refusal import Refusal, invalid_request
from dispatcher.sandbox.scopes import KNOWN_SCOPES
from dispatcher.sandbox.settings import SandboxSettings

FORM_TYPE = "application/x-www-form-urlencoded"
GRANT = "client_credentials"


def check_credentials(authorization: str | None, settings: SandboxSettings) -> None:
    """Nothing where the Authorization header holds the right id and secret, as they are or form-encoded.

    RFC 6749, section 2.3.1 has both form-encoded first; many clients do not, and both are taken.

    Raises:
        Refusal: 401 invalid_client.
    """
    client_id, secret = _basic(authorization)
    if settings.token_fault == "refuse_credentials":
        raise invalid_client("the client id or secret is wrong")
    as_given = _same(client_id, settings.client_id) & _same(secret, settings.client_secret)
    unquoted = _same(unquote_plus(client_id), settings.client_id) & _same(unquote_plus(secret), settings.client_secret)
    if not as_given | unquoted:
        raise invalid_client("the client id or secret is wrong")


def check_grant(body: bytes, settings: SandboxSettings) -> frozenset[str]:
    """The scopes that a token request is granted.

    Raises:
        Refusal: 400 unsupported_grant_type, invalid_request or invalid_scope.
    """
    fields = _form(body)
    grant = fields.get("grant_type")
    if grant is None:
        raise invalid_request("grant_type: must be client_credentials")
    if grant != GRANT:
        raise Refusal(400, "unsupported_grant_type", "grant_type: must be client_credentials")
    if settings.token_fault == "invalid_scope":
        raise _invalid_scope("scope: these scopes are not open to this client")
    most = frozenset(KNOWN_SCOPES if settings.granted_scopes is None else settings.granted_scopes)
    wanted = frozenset(fields.get("scope", "").split())
    strange = wanted.difference(KNOWN_SCOPES)
    if strange:
        raise _invalid_scope(f"scope: {ascii(min(strange))[1:-1][:60]} is not a scope of this API")
    granted = wanted & most if wanted else most
    if not granted:
        raise _invalid_scope("scope: none of these scopes is open to this client")
    return granted


def invalid_client(description: str) -> Refusal:
    """401: who asks for a token is not a client of this provider."""
    return Refusal(401, "invalid_client", description, {"WWW-Authenticate": 'Basic realm="sandbox", charset="UTF-8"'})


def _invalid_scope(description: str) -> Refusal:
    return Refusal(400, "invalid_scope", description)


def _basic(authorization: str | None) -> tuple[str, str]:
    kind, _, encoded = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        raise invalid_client("the client id and secret must come by HTTP Basic")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise invalid_client("the Authorization header is no base64 of a client id and secret") from None
    if not colon:
        raise invalid_client("the Authorization header must hold the client id, a colon and the secret")
    return client_id, secret


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=50)
    except ValueError:
        raise invalid_request("body: must be a form in UTF-8") from None
    for name, values in fields.items():
        if len(values) > 1:
            raise invalid_request(f"{ascii(name)[1:-1][:40]}: must not come more than once")
    return {name: values[0] for name, values in fields.items()}


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode())
