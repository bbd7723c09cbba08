"""The operator's pages and forms, described as OpenAPI: what each of their fields may hold, good and bad."""

from __future__ import annotations

import re
from typing import Any

from dispatcher.domain.fields import FIELDS
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed
from dispatcher.domain.state import State
from dispatcher.ledger import Resolution

SCRIPT = "<script>alert(1)</script>"

# What only the site knows stands here under a name until a request is made.
ID, FORM_TOKEN, SEALED = "the-id-of-", "the-token-of-the-form", "the-seal-of-the-plan"
FATES = {
    "dead": (State.DEAD, Channel.SMS),
    "in_doubt": (State.IN_DOUBT, Channel.GIFT),
    "dead_gift": (State.DEAD, Channel.GIFT),
    "queued": (State.QUEUED, Channel.SMS),
    "sending": (State.SENDING, Channel.SMS),
}
OPERATION, CAMPAIGN, NEW_NAME = ID + "an_operation", "spring", "a-new-name"


def _one_of(*good: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a text whose first value is right: whatever else is tried is tried beside fields that are."""
    tried = [{"enum": list(good)}, {"enum": [SCRIPT, "\x00", "9" * 400]}, {"type": "string", "maxLength": 200}]
    return {"anyOf": [*tried, *([more] if more else [])], "example": good[0]}


_TEXT = _one_of("some words")


def _id_of(right: str) -> dict[str, Any]:
    ids = [ID + fate for fate in sorted(FATES, key=lambda fate: fate != right)]
    return {"type": "string", "enum": [*ids, "0", SCRIPT]}


_ID = _id_of("dead")
_IDS = {"type": "array", "items": _ID, "maxItems": 3, "example": [ID + "dead"]}
_MOMENT = _one_of("", "9999-12-31T23:59", "0001-01-01", more={"type": "string", "format": "date-time"})
_NUMBER = _one_of("", "0.5", "nan", "1e400", "1e-300", "-1", more={"type": "number"})
_QUERY = _one_of("state:dead", "", "channel:gift", *(f"{name}:1" for name in FIELDS))

_FORM = {"token": {"type": "string", "enum": [FORM_TOKEN]}, "reason": _TEXT, "at": _MOMENT}
_FILE = _one_of("recipient,first name\n+61491570156,Ann\n0491 570 157,\n", "recipient\n\n", "x\n", "")
_CAMPAIGN = {
    "name": _one_of(NEW_NAME, "", CAMPAIGN),
    "channel": _one_of("sms", "gift"),
    "template": _one_of("Hi {first name|there}"),
    "sku": _one_of("", "CARD"),
    "amount": _one_of("", "25.00"),
    "currency": _one_of("", "AUD"),
    "budget": _one_of("", "500"),
    "starts_at": _MOMENT,
    "expires_at": _MOMENT,
    "window": _one_of("9:00-17:30"),
    "rate": _one_of("50/s"),
    "region": _one_of("AU"),
    "map": _one_of("", "Mobile=recipient"),
    "encoding": _one_of("", "utf-8", "cp1252"),
    "delimiter": _one_of("", ";", ","),
    "upload": _one_of(""),
    "source": _one_of(""),
    "kept": _one_of(""),
}
PAGES: dict[str, dict[str, Any]] = {
    "/": {"said": _TEXT},
    "/messages": {"q": _QUERY, "before": _ID},
    "/messages.csv": {"q": _QUERY, "numbers": _one_of("1")},
    "/messages/{id}": {"reveal": _one_of("1"), "said": _TEXT},
    "/messages/{id}/edit": {},
    "/dead": {"q": _QUERY, "before": _ID},
    "/dead.csv": {"q": _QUERY, "numbers": _one_of("1")},
    "/fresh": {"q": _QUERY, "since": _MOMENT, "list": _one_of("dead")},
    "/plan": {"do": _one_of("replay", "replay-all", "discard", "discard-all"), "q": _QUERY, "id": _IDS},
    "/operations": {},
    "/operations/{id}": {},
    "/in-doubt": {},
    "/campaigns": {},
    "/campaigns/new": {},
    "/campaigns/{name}": {},
    "/campaigns/{name}/recipients.csv": {"numbers": _one_of("1")},
    "/audit": {"before": _ID, "about": _TEXT},
    "/sign-in": {"next": _one_of("//example.com", "/\\example.com", "https://example.com", "/dead")},
    "/healthz": {},
    "/readyz": {},
    "/metrics": {},
}
FORMS: dict[str, dict[str, Any]] = {
    "/sign-in": {"name": _TEXT, "password": _TEXT, "next": _TEXT},
    "/sign-out": {},
    "/messages": {"token": _FORM["token"], "q": _QUERY},
    "/dead": {"token": _FORM["token"], "q": _QUERY},
    "/messages/{id}/replay": _FORM,
    "/messages/{id}/cancel": _FORM,
    "/messages/{id}/edit": _FORM
    | dict.fromkeys(("body", "sku", "note"), _TEXT)
    | {"recipient": _one_of("+61491570156"), "amount": _one_of("25.00"), "currency": _one_of("AUD")},
    "/messages/{id}/resolve": _FORM | {"answer": _one_of(*(each.value for each in Resolution)), "provider_id": _TEXT},
    "/operations": _FORM
    | {
        "deed": _one_of(*(each.value for each in Deed)),
        "q": _QUERY,
        "id": _IDS,
        "seal": {"type": "string", "enum": [SEALED]},
        "spread": _NUMBER,
        "per_second": _NUMBER,
        "canary": _one_of("", "1"),
    },
    "/operations/{id}/{act}": _FORM,
    "/channels/{channel}/{act}": _FORM,
    "/campaigns/{name}/{act}": _FORM,
    "/campaigns/new": _FORM | _CAMPAIGN | {"file": _FILE, "change": _one_of("", "1")},
    "/campaigns/create": _FORM | _CAMPAIGN | {"seal": _TEXT},
}
_IN_PATHS = {
    "/messages": {"id": _ID},
    "/operations": {"id": {"enum": [OPERATION, "0", ID + "dead"]}, "act": _one_of("pause", "resume", "abort")},
    "/channels": {"channel": _one_of("sms", "gift"), "act": _one_of("pause", "resume")},
    "/campaigns": {
        "name": _one_of(CAMPAIGN, "new"),
        "act": _one_of("start", "pause", "resume", "retry", "cancel"),
    },
}
_RIGHT_FATES = {"/messages/{id}/cancel": "queued", "/messages/{id}/resolve": "in_doubt"}


def described() -> dict[str, Any]:
    """Describe every page and form as OpenAPI."""
    paths: dict[str, Any] = {}
    for path, query in PAGES.items():
        parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
        paths.setdefault(path, {})["get"] = {"parameters": [*_in_path(path), *parameters], "responses": _ANY}
    for path, form in FORMS.items():
        kind = "multipart/form-data" if "file" in form else "application/x-www-form-urlencoded"
        required = [name for name in ("token", "seal") if name in form]
        body = {"content": {kind: {"schema": {"type": "object", "properties": form, "required": required}}}}
        paths.setdefault(path, {})["post"] = {
            "parameters": _in_path(path),
            "requestBody": body | {"required": True},
            "responses": _ANY,
        }
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}


def _in_path(path: str) -> list[dict[str, Any]]:
    names, known = re.findall(r"{(\w+)}", path), _IN_PATHS.get("/" + path.split("/")[1], {})
    if path in _RIGHT_FATES:
        known = known | {"id": _id_of(_RIGHT_FATES[path])}
    return [{"name": name, "in": "path", "required": True, "schema": known[name]} for name in names]


_ANY = {"default": {"description": "a page"}}
