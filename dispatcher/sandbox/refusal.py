"""A request that the provider turns down, and the documented form in which it says so.

Every error of the API is `{"error", "error_description"}`; one exception carries it from the check that
refused to the one place that answers. The AWS API Gateway before the API has errors of its own, in its own form.
"""

import json
from collections.abc import Mapping

JSON_TYPE = "application/json"


class Refusal(Exception):
    """The request is turned down with `status`; the caller answers with `body()` and `headers`."""

    def __init__(self, status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.headers = headers or {}

    def body(self) -> bytes:
        """The documented error form, as JSON."""
        return error_body(self.error, self.description)


class GatewayRefusal(Refusal):
    """The gateway before the API turns the request down: `{"message"}`, and `{"Message"}` where access is denied."""

    def body(self) -> bytes:
        """The gateway's error form, as JSON."""
        return json.dumps({"Message" if self.error == ACCESS_DENIED else "message": self.description}).encode()


ACCESS_DENIED = "AccessDeniedException"
_GATEWAY_ERRORS = {
    401: ("Unauthorized", "UnauthorizedException"),
    403: ("Forbidden", "ForbiddenException"),
    413: ("Request Too Long", "RequestTooLargeException"),
    429: ("Too Many Requests", "TooManyRequestsException"),
    500: ("Internal server error", "InternalServerErrorException"),
    502: ("Internal server error", "InternalServerErrorException"),
    503: ("Service Unavailable", "ServiceUnavailableException"),
    504: ("Endpoint request timed out", "InternalServerErrorException"),
}
MISSING_TOKEN = ("Missing Authentication Token", "MissingAuthenticationTokenException")
"""What an unknown path or method is answered, with 403."""


def gateway_refusal(status: int, message: str | None = None, error_type: str | None = None) -> GatewayRefusal:
    """A refusal as the gateway words it.

    >>> gateway_refusal(429).body()
    b'{"message": "Too Many Requests"}'
    """
    usual, kind = _GATEWAY_ERRORS.get(status, _GATEWAY_ERRORS[500 if status >= 500 else 403])
    kind = error_type or kind
    return GatewayRefusal(status, kind, message or usual, {"x-amzn-ErrorType": kind})


def error_body(error: str, description: str) -> bytes:
    """The documented error form, as JSON."""
    return json.dumps({"error": error, "error_description": description}).encode()


def invalid_request(description: str, status: int = 400) -> Refusal:
    """The request's form or content is wrong; `description` names the field and what would be right."""
    return Refusal(status, "invalid_request", description)
