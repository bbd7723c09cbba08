"""Fault rules: which requests go wrong, how, how often.

A rule looks only at requests that would otherwise be carried out; refusals (401, 400, 429 …) come first and
spend none of its times. The first rule that matches fires. Chance comes from one seeded generator, drawn only
where a rule's probability is under 1, so the same seed and the same requests give the same faults.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from dispatcher.sandbox.settings import SettingRefused

PATHS = ("/sendSMS", "/gifting/send", "/oauth2/token", "/test-oauth2")
ANY_PATH = "*"


@dataclass(frozen=True, slots=True)
class Action:
    """Whether a fault lets the request be carried out first, and the status that the caller sees, if any."""

    carried_out: bool
    status: int | None


ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "status": Action(carried_out=False, status=503),
        "hang": Action(carried_out=False, status=None),
        "hang_after_accepting": Action(carried_out=True, status=None),
        "cut": Action(carried_out=False, status=None),
        "cut_after_accepting": Action(carried_out=True, status=None),
        "cut_body": Action(carried_out=True, status=200),
        "slow_body": Action(carried_out=True, status=200),
        "garbage": Action(carried_out=False, status=None),
        "garbage_after_accepting": Action(carried_out=True, status=None),
        "huge_body": Action(carried_out=True, status=200),
        "redirect": Action(carried_out=False, status=302),
        "gateway": Action(carried_out=False, status=403),
    }
)
"""Each action by its name. `status` answers with the rule's own status, and is carried out where that is a 2xx; so does
`gateway`, in the form of the AWS API Gateway before the API, and is carried out only where the rule says so."""

ONLY_WITH = {
    "status": ("status", "gateway"),
    "retry_after": ("status",),
    "error": ("status",),
    "error_description": ("status",),
    "carried_out": ("status", "gateway"),
    "message": ("gateway",),
    "error_type": ("gateway",),
    "delay_s": ("gateway",),
    "hang_s": ("hang", "hang_after_accepting"),
    "drip_s": ("slow_body",),
    "location": ("redirect",),
}
"""Fields that only some actions take."""
FIRST_STATUS, LAST_STATUS = 200, 599
LONGEST_WAIT_S = 3600
LONGEST_TEXT = 500
MOST_TIMES = 10**9
_FIRST_REFUSAL = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One rule, as it is given in JSON; `times` None fires for ever."""

    path: str
    action: str
    recipient: str | None = None
    text: str | None = None
    """Part of the SMS or of the gift's note, as a firewall looks for it; whatever the letters' case."""
    sku: str | None = None
    probability: float = 1.0
    times: int | None = None
    status: int | None = None
    retry_after: float | str | None = None
    """Seconds, or the text of the header as it stands (an HTTP date, or one that is none)."""
    error: str | None = None
    error_description: str | None = None
    carried_out: bool | None = None
    hang_s: float = 60.0
    drip_s: float = 2.0
    location: str = "/moved"
    message: str | None = None
    error_type: str | None = None
    delay_s: float | None = None
    """Until the gateway answers; 29 s for a 504, else none."""

    @property
    def carries_out(self) -> bool:
        """Whether the request has its effect, whatever the caller then sees."""
        if self.action == "status":
            return self.status_seen < _FIRST_REFUSAL if self.carried_out is None else self.carried_out
        if self.action == "gateway":
            return bool(self.carried_out)
        return ACTIONS[self.action].carried_out

    @property
    def status_answered(self) -> int | None:
        """The status that the caller sees, None where none comes."""
        return self.status_seen if self.action in ("status", "gateway") else ACTIONS[self.action].status

    @property
    def status_seen(self) -> int:
        """The status that a `status` or `gateway` rule answers with."""
        return (ACTIONS[self.action].status or 503) if self.status is None else self.status

    def matches(self, path: str, recipient: str | None, details: Mapping[str, str]) -> bool:
        """Whether the rule looks at this request at all."""
        if self.path not in (ANY_PATH, path) or self.recipient not in (None, recipient):
            return False
        if self.sku is not None and self.sku != details.get("sku"):
            return False
        said = f"{details.get('message', '')}\n{details.get('note', '')}".casefold()
        return self.text is None or self.text.casefold() in said


@dataclass(slots=True)
class _Standing:
    rule: FaultRule
    left: int | None
    fired: int = 0


class FaultRules:
    """The rules in force, in the order in which they were added."""

    def __init__(self, rules: tuple[FaultRule, ...], seed: int) -> None:
        self._standing: list[_Standing] = []
        self._random = random.Random(seed)
        for rule in rules:
            self.add(rule)

    def add(self, rule: FaultRule) -> None:
        """Put a rule behind those there are."""
        self._standing.append(_Standing(rule, rule.times))

    def clear(self) -> None:
        """Drop every rule; the generator goes on where it was."""
        self._standing.clear()

    def reseed(self, seed: int) -> None:
        """Begin the generator anew."""
        self._random.seed(seed)

    def fire(self, path: str, recipient: str | None, details: Mapping[str, str]) -> FaultRule | None:
        """The rule that this request falls to, if any; spends one of its times."""
        for standing in self._standing:
            rule = standing.rule
            if standing.left == 0 or not rule.matches(path, recipient, details):
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            if standing.left is not None:
                standing.left -= 1
            standing.fired += 1
            return rule
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Each rule as JSON, with the times it has left and how often it fired."""
        return [
            {key: value for key, value in asdict(standing.rule).items() if value is not None}
            | {"times": standing.left, "fired": standing.fired}
            for standing in self._standing
        ]


def parse_rule(given: object) -> FaultRule:
    """A rule from its JSON.

    >>> parse_rule({"path": "/sendSMS", "action": "cut", "times": 2}).times
    2

    Raises:
        SettingRefused: names the first field that is wrong, and says what would be right.
    """
    if not isinstance(given, dict):
        raise SettingRefused("rule", 'wants a JSON object such as {"path": "/sendSMS", "action": "cut"}')
    known = [field.name for field in fields(FaultRule)]
    for name in given:
        if name not in known:
            raise SettingRefused(name, f"not a field of a rule; those are {', '.join(known)}")
    _require("path" in given and given["path"] in (*PATHS, ANY_PATH), "path", f"wants {', '.join(PATHS)} or *")
    action = given.get("action")
    _require(isinstance(action, str) and action in ACTIONS, "action", f"wants one of {', '.join(ACTIONS)}")
    for name, actions in ONLY_WITH.items():
        _require(name not in given or action in actions, name, f"goes only with the action {' or '.join(actions)}")
    _require(action != "status" or "status" in given, "status", "wants a whole number from 200 to 599")
    for name, value in given.items():
        _check_value(name, value)
    return FaultRule(**given)


def _check_value(name: str, value: Any) -> None:
    match name:
        case "status":
            _require(_is_whole(value, FIRST_STATUS, LAST_STATUS), name, "wants a whole number from 200 to 599")
        case "probability":
            _require(_is_number(value, 1), name, "wants a number from 0 to 1")
        case "times":
            _require(
                value is None or _is_whole(value, 1, MOST_TIMES), name, "wants a whole number above 0, or null for ever"
            )
        case "delay_s" if value is None:
            pass
        case "hang_s" | "drip_s" | "delay_s":
            _require(_is_number(value, LONGEST_WAIT_S), name, "wants a number of seconds from 0 to 3600")
        case "carried_out":
            _require(isinstance(value, bool), name, "wants true or false")
        case "recipient":
            _require(
                value is None or _is_line(value), name, "wants a phone number such as +61400000000, or null for any"
            )
        case "retry_after":
            right = _is_line(value) or _is_number(value, float("inf"))
            _require(right, name, 'wants seconds, or a header such as "Wed, 21 Oct 2026 07:28:00 GMT"')
        case "text" | "sku":
            right = value is None or (isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT)
            _require(right, name, f"wants at most {LONGEST_TEXT} characters, or null for any")
        case "error" | "error_description" | "location" | "message" | "error_type":
            _require(_is_line(value), name, f"wants a line of at most {LONGEST_TEXT} characters")
        case _:
            pass


def _require(holds: bool, name: str, wanted: str) -> None:
    if not holds:
        raise SettingRefused(name, wanted)


def _is_number(value: object, most: float) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most and value < float("inf")
    )


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_line(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isascii() and value.isprintable()
