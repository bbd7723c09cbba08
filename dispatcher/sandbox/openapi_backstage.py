"""The part of the OpenAPI document that describes the control calls.

It says exactly what is taken: whatever these schemas allow is done, and whatever they do not is refused. Some fields go
only with some actions, so a fault rule is one of several schemas.
"""

from typing import Any

from dispatcher.sandbox.backstage import LAST_ENTRY, MOST_ENTRIES
from dispatcher.sandbox.faults import (
    ACTIONS,
    ANY_PATH,
    FIRST_STATUS,
    LAST_STATUS,
    LONGEST_TEXT,
    LONGEST_WAIT_S,
    MOST_TIMES,
    ONLY_WITH,
    PATHS,
)
from dispatcher.sandbox.journal import KINDS
from dispatcher.sandbox.scopes import KNOWN_SCOPES
from dispatcher.sandbox.settings import (
    FARTHEST_SEED,
    LARGEST_BURST,
    LONGEST_MS,
    LONGEST_S,
    RATE_PATTERN,
    THROTTLERS,
    TOKEN_FAULTS,
    changeable_fields,
)

_JSON_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_REFUSED = {
    "400": {
        "description": "The description names the field and what would be right.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
}


def _call(summary: str, operation: str, **more: Any) -> dict[str, Any]:
    return {
        "tags": ["sandbox"],
        "summary": summary,
        "operationId": operation,
        "security": [],
        "responses": {"200": {"description": "Done", "content": _JSON_OBJECT}, **_REFUSED},
        **more,
    }


def _takes(schema: dict[str, Any], example: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _or_null(schema: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"anyOf": [schema, {"enum": [None]}], "description": f"null: {meaning}"}


def _number(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "number", "minimum": least, "maximum": most, **more}


def _whole(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


_SETTING = {
    "latency_ms": _number(0, LONGEST_MS),
    "latency_jitter_ms": _number(0, LONGEST_MS),
    "rate_limit": _or_null({"type": "string", "pattern": f"^{RATE_PATTERN}$"}, "no limit"),
    "rate_burst": _or_null(_whole(1, LARGEST_BURST), "one second's worth"),
    "retry_after_s": _or_null(_number(0, LONGEST_MS), "the true wait"),
    "throttled_by": {"type": "string", "enum": list(THROTTLERS)},
    "token_expires_in": _whole(0, LONGEST_S, description="Seconds"),
    "token_real_expires_in": _or_null(_whole(0, LONGEST_S), "as token_expires_in says"),
    "token_latency_ms": _number(0, LONGEST_MS),
    "token_fault": {"enum": [None, *TOKEN_FAULTS]},
    "dead_token_status": {"type": "integer", "enum": [401, 403]},
    "granted_scopes": _or_null(
        {"type": "array", "items": {"type": "string", "enum": list(KNOWN_SCOPES)}}, "every known scope"
    ),
    "honour_idempotency_keys": {"type": "boolean"},
    "seed": _whole(-FARTHEST_SEED, FARTHEST_SEED),
}
_SETTINGS = {
    "type": "object",
    "properties": {field: _SETTING[field] for field in changeable_fields()},
    "additionalProperties": False,
}
_SLOWER = {"latency_ms": 150, "latency_jitter_ms": 50, "rate_limit": "50/s"}

_LINE = {"type": "string", "pattern": f"^[ -~]{{1,{LONGEST_TEXT}}}$"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
_WAIT_S = _number(0, LONGEST_WAIT_S)
_ANY_ACTION = {
    "path": {"type": "string", "enum": [*PATHS, ANY_PATH]},
    "recipient": _or_null(_LINE, "any; else only this phone number"),
    "text": _or_null(_TEXT, "any; else only an SMS or a note that holds it, as a firewall looks for it"),
    "sku": _or_null(_TEXT, "any; else only gifts of this sku"),
    "probability": _number(0, 1, default=1),
    "times": _or_null(_whole(1, MOST_TIMES), "it fires for ever; else how many more times"),
}
_SOME_ACTION = {
    "status": _whole(FIRST_STATUS, LAST_STATUS),
    "retry_after": {
        "anyOf": [{"type": "number", "minimum": 0}, _LINE],
        "description": "Seconds, or the header's text",
        "example": 2,
    },
    "error": _LINE,
    "error_description": _LINE,
    "carried_out": {"type": "boolean", "description": "Carried out all the same; unless said, if status is a 2xx"},
    "hang_s": _WAIT_S | {"default": 60},
    "drip_s": _WAIT_S | {"default": 2},
    "location": _LINE | {"default": "/moved"},
    "message": _LINE | {"description": "The gateway's words"},
    "error_type": _LINE | {"description": "x-amzn-ErrorType; AccessDeniedException has them under Message"},
    "delay_s": _or_null(_WAIT_S, "29 s for a 504, else at once"),
}


def _rules() -> list[dict[str, Any]]:
    """Return a schema for each set of actions that take the same fields."""
    taken: dict[tuple[str, ...], list[str]] = {}
    for action in ACTIONS:
        taken.setdefault(tuple(field for field, actions in ONLY_WITH.items() if action in actions), []).append(action)
    return [
        {
            "title": " or ".join(actions) if own else "any other action",
            "type": "object",
            "required": ["path", "action", *(["status"] if "status" in actions else [])],
            "properties": {
                **_ANY_ACTION,
                "action": {"type": "string", "enum": actions},
                **{field: _SOME_ACTION[field] for field in own},
            },
            "additionalProperties": False,
        }
        for own, actions in taken.items()
    ]


_UNAVAILABLE = {"path": "/sendSMS", "action": "status", "status": 503, "retry_after": 2, "times": 5}
_REVOCATION = {
    "type": "object",
    "properties": {"jti": _or_null({"type": "string"}, "every token issued until now; else only this one")},
}

BACKSTAGE_PATHS: dict[str, Any] = {
    "/_sandbox/settings": {
        "get": _call("Show the settings in force", "showSettings"),
        "put": _call(
            "Go back to the start settings, but for the fields named",
            "replaceSettings",
            requestBody=_takes(_SETTINGS, _SLOWER, required=True),
        ),
        "patch": _call(
            "Change the fields named", "changeSettings", requestBody=_takes(_SETTINGS, _SLOWER, required=True)
        ),
    },
    "/_sandbox/faults": {
        "get": _call("List the fault rules", "listFaults"),
        "post": _call(
            "Add a fault rule; the first that matches a request fires",
            "addFault",
            requestBody=_takes({"oneOf": _rules()}, _UNAVAILABLE, required=True),
            responses={"201": {"description": "Added", "content": _JSON_OBJECT}, **_REFUSED},
        ),
        "delete": _call("Drop every fault rule", "clearFaults"),
    },
    "/_sandbox/revoke": {
        "post": _call(
            "Refuse one token, or without a body every token issued until now",
            "revoke",
            requestBody=_takes(_REVOCATION, {}, required=False),
        )
    },
    "/_sandbox/reset": {"post": _call("Empty the journal; settings and faults as at the start", "reset")},
    "/_sandbox/journal": {
        "get": _call(
            "Read what reached the provider, in order of arrival",
            "readJournal",
            parameters=[
                _query("after", _whole(0, LAST_ENTRY, default=0), "The `next` of the page before"),
                _query("limit", _whole(1, MOST_ENTRIES, default=1000), "Entries at most"),
                _query("kind", {"type": "string", "enum": list(KINDS)}, "Only entries of this kind"),
            ],
        )
    },
    "/_sandbox/summary": {"get": _call("Show the totals of the journal", "summarise")},
}
