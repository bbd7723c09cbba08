"""The provider's side of every call: its tokens, its allowance, its faults, its journal, and what it would send.

The HTTP handlers read a request and answer it; what the provider makes of it is decided here.
"""

import math
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from dispatcher.sandbox.allowance import Allowance
from dispatcher.sandbox.content import Content, check_gift, check_sms
from dispatcher.sandbox.faults import FaultRule, FaultRules
from dispatcher.sandbox.journal import Journal
from dispatcher.sandbox.refusal import ACCESS_DENIED, Refusal, gateway_refusal
from dispatcher.sandbox.replays import Replays
from dispatcher.sandbox.settings import SandboxSettings, parse_rate
from dispatcher.sandbox.tokens import Claims, Tokens


@dataclass(frozen=True, slots=True)
class Call:
    """One of the two sends: where it is, what it needs, what it takes."""

    path: str
    kind: str
    scope: str
    check: Callable[[bytes], Content]
    prefix: str


SEND_SMS = Call("/sendSMS", "sms", "write", check_sms, "sms")
SEND_GIFT = Call("/gifting/send", "gift", "gifting:send", check_gift, "gift")


class Provider:
    """All that the sandbox knows while it runs."""

    def __init__(self, settings: SandboxSettings, rules: tuple[FaultRule, ...] = ()) -> None:
        self._start_settings = settings
        self.settings = settings
        self._start_rules = rules
        self.journal = Journal(settings.journal)
        self.tokens = Tokens(settings.signing_key)
        self._begin()

    def change(self, settings: SandboxSettings) -> None:
        """Behave by `settings` from the next request on."""
        before, self.settings = self.settings, settings
        if settings.seed != before.seed:
            self.reseed()
        if (settings.rate_limit, settings.rate_burst) != (before.rate_limit, before.rate_burst):
            self._allowance = _allowance(settings)
        if settings.honour_idempotency_keys != before.honour_idempotency_keys:
            self._replays = _replays(settings, self.journal)

    @property
    def start_settings(self) -> SandboxSettings:
        """The settings that the sandbox was started with."""
        return self._start_settings

    def reseed(self) -> None:
        """Begin both generators anew, so that a run repeats."""
        self.rules.reseed(self.settings.seed)
        self._jitter.seed(self.settings.seed)

    def reset(self) -> None:
        """Be as at the start: its settings, its fault rules, an empty journal. Tokens stay good."""
        self.journal.reset()
        self._begin()

    def revoke(self, jti: str | None) -> None:
        """Refuse one token, or with None every token issued until now."""
        if jti is None:
            self.tokens.revoke_all(time.time())
        else:
            self.tokens.revoke(jti)

    def check_token(self, authorization: str | None, scope: str | None, now: float) -> Claims:
        """The claims of a request's token.

        Raises:
            Refusal: it does not hold or lacks `scope`; a dead one in the gateway's form, where the settings say so.
        """
        try:
            return self.tokens.check(authorization, scope, now)
        except Refusal as refusal:
            if refusal.status == 401 and self.settings.dead_token_status == 403:
                message = "User is not authorized to access this resource"
                raise gateway_refusal(403, message, ACCESS_DENIED) from None
            raise

    def spend_allowance(self, now: float) -> None:
        """Count one call against the rate limit.

        Raises:
            Refusal: 429 with Retry-After where the limit is reached.
        """
        if self._allowance is None:
            return
        wait_s = self._allowance.spend(now)
        if wait_s > 0:
            if self.settings.throttled_by == "gateway":
                raise gateway_refusal(429)
            says = self.settings.retry_after_s
            shown = math.ceil(wait_s if says is None else says)
            raise Refusal(
                429,
                "rate_limited",
                f"over the limit of {self.settings.rate_limit}; try again in {shown} s",
                {"Retry-After": str(shown)},
            )

    def replayed(self, call: Call, key: str | None, content: Content) -> str | None:
        """The provider id of the request carried out before under the same key, where keys are honoured."""
        if self._replays is None or key is None:
            return None
        return self._replays.find(call.kind, key, content)

    def carry_out(self, call: Call, key: str | None, content: Content) -> str:
        """Send it, as far as a stand-in can: give it a provider id, and remember its key where keys are honoured."""
        provider_id = f"{call.prefix}_{self._run}{self.journal.next_seq:08x}"
        if self._replays is not None and key is not None:
            self._replays.remember(call.kind, key, content, provider_id)
        return provider_id

    def latency_s(self) -> float:
        """How long the next answer to a call with a token takes, in seconds."""
        settings = self.settings
        if not settings.latency_jitter_ms:
            return settings.latency_ms / 1000
        return (settings.latency_ms + self._jitter.random() * settings.latency_jitter_ms) / 1000

    def _begin(self) -> None:
        self.settings = self._start_settings
        self._run = secrets.token_hex(4)  # new at each reset, as the journal counts from 1 again and ids must not
        self.rules = FaultRules(self._start_rules, self.settings.seed)
        self._jitter = random.Random(self.settings.seed)
        self._allowance = _allowance(self.settings)
        self._replays = _replays(self.settings, self.journal)


def _allowance(settings: SandboxSettings) -> Allowance | None:
    if settings.rate_limit is None:
        return None
    calls, period = parse_rate(settings.rate_limit)
    return Allowance(calls, period, settings.rate_burst)


def _replays(settings: SandboxSettings, journal: Journal) -> Replays | None:
    return Replays(journal) if settings.honour_idempotency_keys else None
