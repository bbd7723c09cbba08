"""How the demo's API misbehaves. Which messages it hits follows from a seed alone, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatcher.sandbox import SandboxSettings

SMS_PATH, GIFT_PATH = "/sendSMS", "/gifting/send"
OUR_RATE = "60/s burst 12"
"""What we believe the API takes …"""
THEIR_RATE = "50/s"
"""… and what it takes: so it answers 429 now and then, and the rate has to be found."""
MAX_ATTEMPTS = 4
SLOW_S = 5.0
"""How long a call that hangs would take; longer than the demo waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """Something that goes wrong for some recipients."""

    share: float
    """Which part of the messages it hits; at least one."""
    rule: Mapping[str, Any]
    times: int = 1
    """How often in a row."""


_SMS_MISHAPS = (
    Mishap(share=0.015, rule={"action": "status", "status": 503}),
    Mishap(share=0.006, rule={"action": "status", "status": 500}),
    Mishap(share=0.005, rule={"action": "cut_after_accepting"}),
    Mishap(share=0.004, rule={"action": "hang_after_accepting", "hang_s": SLOW_S}),
    Mishap(share=0.002, rule={"action": "cut"}),
    Mishap(share=0.002, rule={"action": "cut_body"}),
    Mishap(
        share=0.002,
        rule={"action": "status", "status": 422, "error": "unreachable", "error_description": "not in service"},
    ),
    Mishap(share=0, rule={"action": "status", "status": 503}, times=MAX_ATTEMPTS),
)
_GIFT_MISHAPS = (
    Mishap(share=0.08, rule={"action": "hang_after_accepting", "hang_s": SLOW_S}),
    Mishap(share=0.04, rule={"action": "cut_after_accepting"}),
    Mishap(share=0.04, rule={"action": "status", "status": 503}),
    Mishap(
        share=0.04,
        rule={"action": "status", "status": 422, "error": "sku_unknown", "error_description": "no such card"},
    ),
)


def sandbox_settings(*, calls: int, seed: int) -> SandboxSettings:
    """Return how the API behaves from the start: slow by a little, with a limit, its tokens ending early.

    :param calls: how many messages there will be: a token ends before half of them are through.
    """
    return SandboxSettings(
        latency_ms=35,
        latency_jitter_ms=30,
        rate_limit=THEIR_RATE,
        rate_burst=25,
        token_real_expires_in=max(6, round(calls * 0.4 / 45)),
        token_latency_ms=80,
        seed=seed,
    )


def fault_rules(sms: Sequence[str], gifts: Sequence[str], *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a fault rule for each message that something happens to.

    :param sms: the recipients of the SMS, in the order of sending; ``gifts`` likewise.

    >>> [rule["action"] for rule in fault_rules([], ["+61491570006"], seed=1)]
    ['hang_after_accepting']
    """
    roll = random.Random(seed)
    # What goes wrong early can still come right while the burst goes on.
    yield from _rules(SMS_PATH, _SMS_MISHAPS, sms[: len(sms) * 3 // 4 or 1], len(sms), roll)
    yield from _rules(GIFT_PATH, _GIFT_MISHAPS, gifts, len(gifts), roll)


def _rules(
    path: str, mishaps: Sequence[Mishap], recipients: Sequence[str], total: int, roll: random.Random
) -> Iterator[dict[str, Any]]:
    victims = list(dict.fromkeys(recipients))
    roll.shuffle(victims)
    for mishap in mishaps:
        for _ in range(max(1, round(mishap.share * total))):
            if not victims:
                return
            yield {"path": path, "recipient": victims.pop(), "times": mishap.times, **mishap.rule}
