"""The part of the OpenAPI document that describes the control calls."""

from typing import Any

from dispatcher.sandbox.faults import ACTIONS, ANY_PATH, PATHS
from dispatcher.sandbox.journal import KINDS
from dispatcher.sandbox.settings import changeable_fields

_REFUSED = {
    "400": {
        "description": "The description names the field and what would be right.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
}


def _call(summary: str, operation: str, **more: Any) -> dict[str, Any]:
    ok = {"description": "Done", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "tags": ["sandbox"],
        "summary": summary,
        "operationId": operation,
        "security": [],
        "responses": {"200": ok, **_REFUSED},
        **more,
    }


def _takes(schema: dict[str, Any], example: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_SETTINGS = {
    "type": "object",
    "properties": {field: {} for field in changeable_fields()},
    "additionalProperties": False,
}
_SLOWER = {"latency_ms": 150, "latency_jitter_ms": 50, "rate_limit": "50/s"}
_RULE = {
    "type": "object",
    "required": ["path", "action"],
    "properties": {
        "path": {"type": "string", "enum": [*PATHS, ANY_PATH]},
        "action": {"type": "string", "enum": list(ACTIONS)},
        "recipient": {"type": "string", "description": "Only this recipient"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "default": 1},
        "times": {"type": "integer", "minimum": 1, "description": "How many more times it fires; for ever unless said"},
        "status": {"type": "integer", "minimum": 200, "maximum": 599, "description": "Needed by the action status"},
        "retry_after": {"description": "Seconds, or the text of the header", "example": 2},
        "error": {"type": "string"},
        "error_description": {"type": "string"},
        "carried_out": {"type": "boolean", "description": "With the action status: carried out all the same"},
        "hang_s": {"type": "number", "default": 60},
        "drip_s": {"type": "number", "default": 2},
        "location": {"type": "string", "default": "/moved"},
    },
    "additionalProperties": False,
}
_REVOCATION = {"type": "object", "properties": {"jti": {"type": "string"}}}

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
            requestBody=_takes(
                _RULE,
                {"path": "/sendSMS", "action": "status", "status": 503, "retry_after": 2, "times": 5},
                required=True,
            ),
            responses={"201": {"description": "Added"}, **_REFUSED},
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
                _query("after", {"type": "integer", "minimum": 0, "default": 0}, "The `next` of the page before"),
                _query("limit", {"type": "integer", "minimum": 1, "default": 1000}, "Entries at most"),
                _query("kind", {"type": "string", "enum": list(KINDS)}, "Only entries of this kind"),
            ],
        )
    },
    "/_sandbox/summary": {"get": _call("Show the totals of the journal", "summarise")},
}
