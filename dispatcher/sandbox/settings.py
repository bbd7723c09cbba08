"""Every setting of the sandbox, with its default and the rule it must keep."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dispatcher.sandbox.scopes import KNOWN_SCOPES

TOKEN_FAULTS = ("down", "hang", "refuse_credentials", "invalid_scope")
THROTTLERS = ("api", "gateway")
RATE_PATTERN = r"([1-9][0-9]{0,6})/(s|m|h)"
LONGEST_MS = 86_400_000
LONGEST_S = 315_360_000  # ten years
LARGEST_BURST = 1_000_000
FARTHEST_SEED = 2**63
_RATE = re.compile(RATE_PATTERN)
_PERIODS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_FIXED_AT_START = frozenset({"client_id", "client_secret", "signing_key", "host", "port", "journal"})


class SettingRefused(ValueError):
    """A setting or a field of a fault rule that cannot be: `field` names it, the message says what would be right."""

    def __init__(self, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}")
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox starts, and how it behaves until a control call changes it.

    `client_id`, `client_secret`, `signing_key`, `host`, `port` (0: any free one) and `journal` hold for the
    life of the process; all others can be changed at `/_sandbox/settings`.
    """

    client_id: str = "sandbox-client"
    client_secret: str = dataclasses.field(default="sandbox-secret", repr=False)
    signing_key: str | None = dataclasses.field(default=None, repr=False)
    """Signs the tokens; None draws a fresh one, so that a restart makes every earlier token invalid."""
    host: str = "127.0.0.1"
    port: int = 0
    journal: Path | None = None
    """The file that the journal is appended to and read back from; None keeps it in memory only."""

    latency_ms: float = 0
    latency_jitter_ms: float = 0
    """A random time from 0 up to this is added to each latency."""
    rate_limit: str | None = None
    """Such as "50/s", "3000/m" or "100/h"; shared by all calls that need a token."""
    rate_burst: int | None = None
    """How many calls may come at once; None allows what the rate gives in one second."""
    retry_after_s: float | None = None
    """What a 429 says in Retry-After; None says the true wait, rounded up to a second."""
    throttled_by: str = "api"
    """Who answers 429: the `api` with Retry-After, or the `gateway` before it without."""
    token_expires_in: int = 3600
    token_real_expires_in: int | None = None
    """When tokens really expire, in seconds, where that differs from what the provider says."""
    token_latency_ms: float = 0
    token_fault: str | None = None
    dead_token_status: int = 401
    """What a send with an expired or revoked token is answered; 403 as a gateway's authorizer does."""
    granted_scopes: tuple[str, ...] | None = None
    """The most that a token request is granted; None grants every known scope."""
    honour_idempotency_keys: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            SettingRefused: at the first field that breaks its rule.
        """
        for field, (holds, wanted) in _RULES.items():
            if not holds(getattr(self, field)):
                raise SettingRefused(field, wanted)

    @property
    def token_lives_s(self) -> int:
        """Seconds until a token issued now is really refused."""
        return self.token_expires_in if self.token_real_expires_in is None else self.token_real_expires_in

    def changed(self, changes: Mapping[str, Any]) -> "SandboxSettings":
        """The same settings but for the fields named in `changes`, given as JSON values.

        Raises:
            SettingRefused: for a field that is not one, is fixed at the start, or has a value that breaks its rule.
        """
        allowed = changeable_fields()
        for field in changes:
            if field not in allowed:
                raise SettingRefused(field, f"not a setting that can be changed; those are {', '.join(allowed)}")
        values = dict(changes)
        if isinstance(values.get("granted_scopes"), list):
            values["granted_scopes"] = tuple(values["granted_scopes"])
        return dataclasses.replace(self, **values)

    def changeable(self) -> dict[str, Any]:
        """The settings that control calls may change, as JSON values."""
        return {field: getattr(self, field) for field in changeable_fields()}


def changeable_fields() -> list[str]:
    """The names of the settings that control calls may change."""
    return [field.name for field in dataclasses.fields(SandboxSettings) if field.name not in _FIXED_AT_START]


def parse_rate(text: str) -> tuple[int, timedelta]:
    """How many calls, and in what time.

    >>> parse_rate("50/s")
    (50, datetime.timedelta(seconds=1))
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise SettingRefused("rate_limit", _RULES["rate_limit"][1])
    return int(found[1]), _PERIODS[found[2]]


def _is_number(value: object, least: float, most: float = LONGEST_MS) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= value <= most
    )


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _are_scopes(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(scope, str) and scope in KNOWN_SCOPES for scope in value)


_MILLISECONDS = (lambda value: _is_number(value, 0), "wants a number of milliseconds, 0 or more")
_HIGHEST_PORT = 65_535

_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "client_id": (lambda value: _is_line(value) and ":" not in value, "wants a line of text without a colon"),
    "client_secret": (_is_line, "wants a line of text"),
    "signing_key": (lambda value: value is None or _is_line(value), "wants a line of text, or null to draw one"),
    "host": (_is_line, "wants a host name or address to listen on"),
    "port": (lambda value: _is_whole(value, 0, _HIGHEST_PORT), "wants a whole number from 0 (any free port) to 65535"),
    "journal": (lambda value: value is None or isinstance(value, Path), "wants a path, or null to keep none"),
    "latency_ms": _MILLISECONDS,
    "latency_jitter_ms": _MILLISECONDS,
    "rate_limit": (
        lambda value: value is None or (isinstance(value, str) and _RATE.fullmatch(value) is not None),
        'wants calls per s, m or h, such as "50/s", or null for no limit',
    ),
    "rate_burst": (
        lambda value: value is None or _is_whole(value, 1, LARGEST_BURST),
        "wants a whole number of calls, 1 or more, or null for one second's worth",
    ),
    "retry_after_s": (
        lambda value: value is None or _is_number(value, 0),
        "wants a number of seconds, 0 or more, or null for the true wait",
    ),
    "throttled_by": (lambda value: value in THROTTLERS, f"wants one of {', '.join(THROTTLERS)}"),
    "token_expires_in": (lambda value: _is_whole(value, 0, LONGEST_S), "wants a whole number of seconds, 0 or more"),
    "token_real_expires_in": (
        lambda value: value is None or _is_whole(value, 0, LONGEST_S),
        "wants a whole number of seconds, 0 or more, or null to be as token_expires_in says",
    ),
    "token_latency_ms": _MILLISECONDS,
    "token_fault": (
        lambda value: value is None or value in TOKEN_FAULTS,
        f"wants null or one of {', '.join(TOKEN_FAULTS)}",
    ),
    "dead_token_status": (lambda value: _is_whole(value, 401, 403) and value != 402, "wants 401 or 403"),
    "granted_scopes": (
        lambda value: value is None or _are_scopes(value),
        f"wants null or a list of scopes from {' '.join(KNOWN_SCOPES)}",
    ),
    "honour_idempotency_keys": (lambda value: isinstance(value, bool), "wants true or false"),
    "seed": (lambda value: _is_whole(value, -FARTHEST_SEED, FARTHEST_SEED), "wants a whole number"),
}
