"""A request that the provider turns down, and the documented form in which it says so.

Every error of the API is `{"error", "error_description"}`; one exception carries it from the check that
refused to the one place that answers.
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


def error_body(error: str, description: str) -> bytes:
    """The documented error form, as JSON."""
    return json.dumps({"error": error, "error_description": description}).encode()


def invalid_request(description: str, status: int = 400) -> Refusal:
    """The request's form or content is wrong; `description` names the field and what would be right."""
    return Refusal(status, "invalid_request", description)
