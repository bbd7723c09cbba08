"""The OpenAPI document, written by hand: what a client developer reads before the first call.

It uses only what OpenAPI 3.0 and 3.1 share (no type lists, so a field that may be null has no type here).
The control calls stand in a module of their own, `openapi_backstage`.
"""

from typing import Any

from dispatcher.sandbox.content import (
    AMOUNT_PATTERN,
    CURRENCY_PATTERN,
    LONGEST_MESSAGE,
    LONGEST_NOTE,
    LONGEST_SKU,
    RECIPIENT_PATTERN,
)
from dispatcher.sandbox.openapi_backstage import BACKSTAGE_PATHS
from dispatcher.sandbox.scopes import KNOWN_SCOPES

_ERROR_STATUSES = {
    "400": ("InvalidRequest", "The request is wrong; the description names the field and what would be right."),
    "401": ("InvalidToken", "The token is missing, wrong, expired or revoked: get a new one."),
    "403": ("InsufficientScope", "The token lacks the scope of this call."),
    "413": ("TooLarge", "The body is larger than 64 KB."),
    "415": ("WrongType", "The body is not JSON by its Content-Type."),
    "422": ("KeyReused", "This Idempotency-Key came before with other content (only where keys are honoured)."),
    "429": ("RateLimited", "Over the rate limit; Retry-After says when to come back."),
}


def document(base_url: str, version: str = "3.1.0") -> dict[str, Any]:
    """The document for a sandbox that answers at `base_url`.

    >>> sorted(document("http://127.0.0.1:8000")["paths"])[-3:]
    ['/oauth2/token', '/sendSMS', '/test-oauth2']
    """
    return {
        "openapi": version,
        "info": {
            "title": "SMS and gifting API (sandbox)",
            "version": "1.0.0",
            "description": "A stand-in for the provider's API. Press **Authorize**, give the client id and secret that "
            "the sandbox was started with (`sandbox-client` and `sandbox-secret` unless said), and try the calls. "
            "The calls under `/_sandbox` are the sandbox's own: they make it fail on demand and show what reached it.",
        },
        "servers": [{"url": base_url}],
        "tags": [
            {"name": "tokens", "description": "OAuth 2.0 client credentials"},
            {"name": "sends", "description": "SMS and gifts"},
            {"name": "sandbox", "description": "Faults on demand and the journal; no part of the provider's API"},
        ],
        "paths": {**_API_PATHS, **BACKSTAGE_PATHS},
        "components": {
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {"tokenUrl": f"{base_url}/oauth2/token", "scopes": dict(KNOWN_SCOPES)}
                    },
                },
                "client": {"type": "http", "scheme": "basic", "description": "Client id and secret"},
            },
            "schemas": _SCHEMAS,
            "responses": {name: _error(text) for name, text in _ERROR_STATUSES.values()},
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
        },
    }


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": _json_of("Error")}


def _json_of(schema: str, **more: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, **more}}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{_ERROR_STATUSES[status][0]}"} for status in statuses}


def _send(summary: str, operation: str, scope: str, schema: str, example: dict[str, str]) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["sends"],
            "summary": summary,
            "operationId": operation,
            "description": f"Needs the scope `{scope}`.",
            "security": [{"oauth2": [scope]}],
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {"required": True, "content": _json_of(schema, example=example)},
            "responses": {
                "200": {"description": "Accepted for sending", "content": _json_of("Accepted")},
                **_errors(*_ERROR_STATUSES),
            },
        }
    }


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Recorded; honoured only where the sandbox's setting `honour_idempotency_keys` is on.",
    "schema": {"type": "string"},
}

_API_PATHS: dict[str, Any] = {
    "/oauth2/token": {
        "post": {
            "tags": ["tokens"],
            "summary": "Get an access token",
            "operationId": "issueToken",
            "security": [{"client": []}],
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/TokenRequest"}}
                },
            },
            "responses": {
                "200": {"description": "A token", "content": _json_of("Token")},
                "400": _error("unsupported_grant_type, invalid_request or invalid_scope"),
                "401": _error("invalid_client: the client id or secret is wrong"),
                **_errors("413"),
            },
        }
    },
    "/sendSMS": _send(
        "Send an SMS",
        "sendSms",
        "write",
        "Sms",
        {"recipient": "+61400000000", "message": "Your table is ready."},
    ),
    "/gifting/send": _send(
        "Send a gift",
        "sendGift",
        "gifting:send",
        "Gift",
        {"recipient": "+61400000000", "sku": "COFFEE-25", "amount": "25.00", "currency": "AUD", "note": "Thank you"},
    ),
    "/test-oauth2": {
        "get": {
            "tags": ["tokens"],
            "summary": "Ask whether a token works",
            "operationId": "testToken",
            "security": [{"oauth2": []}],
            "responses": {
                "200": {"description": "It does", "content": _json_of("TokenWorks")},
                **_errors("401", "429"),
            },
        }
    },
}


def _object(required: list[str], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, **more}


_TEXT = {"type": "string"}
_RECIPIENT = {"type": "string", "pattern": f"^{RECIPIENT_PATTERN}$", "example": "+61400000000"}

_SCHEMAS: dict[str, Any] = {
    "Sms": _object(
        ["recipient", "message"],
        {"recipient": _RECIPIENT, "message": {"type": "string", "minLength": 1, "maxLength": LONGEST_MESSAGE}},
        additionalProperties=False,
    ),
    "Gift": _object(
        ["recipient", "sku", "amount", "currency"],
        {
            "recipient": _RECIPIENT,
            "sku": {"type": "string", "minLength": 1, "maxLength": LONGEST_SKU},
            "amount": {"type": "string", "pattern": f"^{AMOUNT_PATTERN}$", "description": "A decimal above 0"},
            "currency": {"type": "string", "pattern": f"^{CURRENCY_PATTERN}$"},
            "note": {"type": "string", "maxLength": LONGEST_NOTE, "default": ""},
        },
        additionalProperties=False,
    ),
    "Accepted": _object(["id", "status"], {"id": _TEXT, "status": {"type": "string", "enum": ["accepted"]}}),
    "TokenRequest": _object(
        ["grant_type"],
        {
            "grant_type": {"type": "string", "enum": ["client_credentials"]},
            "scope": {"type": "string", "description": "Space-separated; all that the client may have unless said"},
        },
    ),
    "Token": _object(
        ["access_token", "token_type", "expires_in", "scope"],
        {
            "access_token": _TEXT,
            "token_type": {"type": "string", "enum": ["Bearer"]},
            "expires_in": {"type": "integer", "description": "Seconds"},
            "scope": _TEXT,
        },
    ),
    "TokenWorks": _object(
        ["status", "client_id", "scope", "expires_in"],
        {
            "status": {"type": "string", "enum": ["ok"]},
            "client_id": _TEXT,
            "scope": _TEXT,
            "expires_in": {"type": "integer", "description": "Seconds until it really expires"},
        },
    ),
    "Error": _object(["error", "error_description"], {"error": _TEXT, "error_description": _TEXT}),
}
