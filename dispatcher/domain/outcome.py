"""What one attempt came to, as a value. The gateway makes it, the policy decides by it, the ledger records it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class OutcomeKind(StrEnum):
    """The kinds of outcome. The values are the ledger's column values."""

    ACCEPTED = "accepted"
    """The API said yes (any 2xx), even if its body never came."""
    NOT_SENT = "not_sent"
    """No byte of the request left: DNS, refused, connect timeout, TLS handshake."""
    IN_DOUBT = "in_doubt"
    """Bytes left and no answer tells what became of them, or the lease ran out."""
    FAILED = "failed"
    """The API or something before it failed: 500, 502, 503, 504, 408 and the like."""
    THROTTLED = "throttled"
    """429: refused for being too fast."""
    UNAUTHORIZED = "unauthorized"
    """401: the token is invalid or expired."""
    MISCONFIGURED = "misconfigured"
    """402, 403, 404, a redirect, a wrong host or certificate: perhaps no message gets through, perhaps not this one."""
    REJECTED = "rejected"
    """400, 413, 415, 422 and other 4xx: this message is refused for good."""
    CONFLICT = "conflict"
    """409: the API says it has this already, which may be our own earlier send."""


REQUEST_IDS = ("x-amzn-RequestId", "x-amz-apigw-id", "x-amzn-ErrorType", "x-request-id")
"""Headers of an answer that identify the call: two of API Gateway's, its kind of error, and the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt came to and the evidence for it."""

    kind: OutcomeKind
    http_status: int | None = None
    error: str | None = None
    """The API's error code, or the short name of what broke, e.g. ``read_timeout``."""
    error_description: str | None = None
    retry_after: timedelta | None = None
    """The API's Retry-After (RFC 9110, section 10.2.3), already clamped."""
    provider_id: str | None = None
    response: str | None = field(default=None, repr=False)
    """The answer's body, redacted and cut at 4 kB."""
    request_ids: tuple[tuple[str, str], ...] = ()
    """Headers by which the provider and AWS support find the call: name and value, in the order of ``REQUEST_IDS``."""

    @property
    def in_words(self) -> str:
        """What was answered, as operators read it: status, error and description.

        >>> Outcome(kind=OutcomeKind.MISCONFIGURED, http_status=403, error="insufficient_scope").in_words
        '403 insufficient_scope'
        """
        parts = (str(self.http_status) if self.http_status else None, self.error, self.error_description)
        return " ".join(part for part in parts if part) or self.kind.value
