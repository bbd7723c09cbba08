"""The token source: one token for the whole fleet, minted by one caller, known to all; no Redis call per message."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from dispatcher.domain.errors import BrokerUnavailable, CredentialsRefused, ScopeMissing, TokenUnavailable
from dispatcher.logs import get_logger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.oauth.cooling import Cooling
from dispatcher.oauth.hand import Hand, Held, held_until
from dispatcher.oauth.mint import Mint
from dispatcher.oauth.minting import Minting
from dispatcher.oauth.store import Record, TokenStore
from dispatcher.oauth.token import FailureKind, Trouble
from dispatcher.ports import Clock, Token, TokenState

log = get_logger(__name__)

WAIT = timedelta(seconds=10)
LOOK_EVERY = timedelta(seconds=2)
PRIVATE_DELAY = timedelta(seconds=1)
_REDIS_REST = 1.0
"""Seconds that Redis is left alone after it failed, so that not every call waits for its timeout."""
_SCOPE_RETRY = timedelta(seconds=60)
_BUSY_RETRY = timedelta(seconds=1)
_ZERO = timedelta(0)


class SharedTokenSource:
    """Implements the port ``TokenSource`` for one pair of credentials.

    Any number of threads may call it. Build it after a fork: neither its locks nor its Redis client survive one.

    - A fresh token costs a look at the clock. In the last 10 to 15 % of its life one caller of the fleet, whoever
      gets the lock, pays for a new one; all others go on with the old one.
    - Without a token that may be used, one thread per process tries for the lock, reads again, mints or waits;
      the rest of the process wait for that thread, ``wait`` at the most.
    - Failures are as shared as tokens: while the fleet cools down, nobody asks the API.
    - Without Redis the held token is used to its end; then this process mints for itself.
    """

    def __init__(
        self,
        *,
        store: TokenStore,
        mint: Mint,
        clock: Clock,
        rolls: Callable[[], float] = random.random,
        wait: timedelta = WAIT,
        look_every: timedelta = LOOK_EVERY,
        private_delay: timedelta = PRIVATE_DELAY,
        meter: Meter | None = None,
    ) -> None:
        """Take the parts; nothing is asked of Redis or the API yet.

        :param rolls: random numbers in [0, 1), for every jitter.
        :param wait: how long a caller without a token waits for one.
        :param look_every: how often Redis is looked at, at the most, while a refresh or a cool-down is on.
        :param private_delay: the longest random delay of a mint without Redis, so that a fleet does not ask as one.
        """
        if store.lock.life <= mint.deadline:
            raise ValueError(f"the lock must live longer ({store.lock.life}) than a mint may take ({mint.deadline})")
        self._store = store
        self._clock = clock
        self._rolls = rolls
        self._wait = wait.total_seconds()
        self._look_every = look_every.total_seconds()
        self._private_delay = private_delay

        self._hand = Hand(clock)
        self._turn = threading.Lock()
        """Held by the one thread that looks, mints or waits for the whole process."""
        self._cooling = Cooling(clock)
        self._minting = Minting(
            store=store,
            mint=mint,
            hand=self._hand,
            cooling=self._cooling,
            clock=clock,
            rolls=rolls,
            meter=meter or Unmeasured(),
        )
        self._look_at = float("-inf")
        self._redis_at = float("-inf")
        self._redis_away = False

    def token(self, scope: str) -> Token:
        """Return a token that was granted ``scope`` and is still good; no Redis call while the present one is fresh.

        :raises ScopeMissing: the present token was not granted ``scope``; it stays good for other scopes.
        :raises CredentialsRefused: the API refuses the client id or secret.
        :raises TokenUnavailable: none can be had now; its ``retry_after`` says when to ask again.
        """
        held = self._hand.fresh() or self._renewed()
        if scope not in held.token.scopes:
            raise ScopeMissing(scope, held.token.scopes, retry_after=_SCOPE_RETRY)
        return held.token

    def retire(self, generation: int) -> None:
        """Give up the token that the API refused, here and for the fleet, and never a newer one."""
        if self._hand.give_up(generation):
            self._look_at = float("-inf")
        if self._hand.redis_knows(generation) or self._clock.monotonic() < self._redis_at:
            return
        try:
            self._tell_refused(generation)
        except BrokerUnavailable as error:
            self._leave_redis_alone(error)

    def renew(self) -> None:
        """Fetch a new token for the fleet now, whatever the present one is like; that one stays good until then.

        Other processes take the new one when the API refuses theirs, or when theirs is due for a refresh.

        :raises TokenUnavailable: the API granted none, or another process is fetching one at this moment.
        :raises BrokerUnavailable: Redis cannot be reached, so none could be shared.
        """
        owner = self._store.lock.acquire()
        if owner is None:
            raise TokenUnavailable("another process is fetching a token at this moment", retry_after=_BUSY_RETRY)
        before = self._hand.usable()
        stray = self._minting.for_all(owner)
        if stray is not None:
            raise BrokerUnavailable("Redis did not take the new token: the fleet goes on with the present one")
        if self._hand.usable() is before:
            raise self._unavailable()

    def try_again(self) -> None:
        """Lift the fleet's cool-down: somebody has put right what failed. The count of failures begins anew.

        :raises BrokerUnavailable: Redis cannot be reached; this process tries again nevertheless.
        """
        self._cooling.learn(None, at=self._clock.monotonic())
        self._store.forget_failure()

    def state(self) -> TokenState:
        """Read the shared token's state.

        :raises BrokerUnavailable: Redis cannot be reached and this process knows nothing itself.
        """
        held, trouble = self._hand.usable(), self._cooling.trouble
        asked_at = self._clock.monotonic()
        try:
            reading = self._store.read()
        except BrokerUnavailable:
            if held is None and trouble is None:
                raise
            return self._state(held, trouble)
        record = reading.record
        ours = held is not None and record is not None and record.token.generation == held.token.generation
        if record is not None and (record.retired or self._hand.refused(record.token.generation)):
            held = None if ours else held
        elif record is not None and not ours:
            held = self._held(record, asked_at)
        state = self._state(held, reading.trouble)
        return state if record is None else replace(state, oddities=record.oddities)

    def _renewed(self) -> Held:
        """Return the best token to be had; only the thread whose turn it is does anything about it."""
        deadline = self._clock.monotonic() + self._wait
        held = self._hand.usable()
        if held is not None:
            if not self._turn.acquire(blocking=False):
                return held
        elif not self._turn.acquire(timeout=self._wait):
            raise self._unavailable()
        try:
            return self._refreshed() or self._awaited(deadline)
        finally:
            self._turn.release()

    def _refreshed(self) -> Held | None:
        """Return a token that may be used, after one step towards a newer one if that is due; None without any."""
        held = self._hand.usable()
        if held is None:
            return None
        now = self._clock.monotonic()
        if now >= max(held.refresh_at, self._look_at, self._redis_at):
            self._look_at = now + min(self._look_every, (held.ends_at - held.refresh_at) / 4)
            self._advance()
        return self._hand.usable()

    def _awaited(self, deadline: float) -> Held:
        """Return the first token to be had before the deadline, whoever mints it."""
        while True:
            if self._clock.monotonic() >= self._look_at or not self._cooling.left:
                self._advance()
            held = self._hand.usable()
            if held is not None:
                return held
            cooling = self._cooling.left
            pause = min(cooling, self._look_every) + 0.01 if cooling else 0.05 + 0.2 * self._rolls()
            if self._clock.monotonic() + max(pause, cooling) >= deadline:
                raise self._unavailable()
            self._clock.sleep(timedelta(seconds=pause))

    def _advance(self) -> None:
        """Take one step towards a new token: with the fleet, or alone if Redis is away and the old one is used up."""
        if self._clock.monotonic() >= self._redis_at:
            try:
                self._share()
            except BrokerUnavailable as error:
                self._leave_redis_alone(error)
            else:
                return
        if self._hand.usable() is None and not self._cooling.left:
            self._clock.sleep(self._private_delay * self._rolls())
            self._minting.alone()

    def _share(self) -> None:
        self._look()
        if self._hand.fresh() or self._cooling.left:
            return
        owner = self._store.lock.acquire()
        if owner is None:
            return
        self._look()  # another process may have stored a token before this one got the lock
        if self._hand.fresh() or self._cooling.left:
            self._store.lock.release(owner)
            return
        stray = self._minting.for_all(owner)
        if stray is None:
            return
        try:
            self._look()
        finally:
            if self._hand.fresh() is None:
                self._hand.keep(stray)

    def _look(self) -> None:
        """Read Redis and take over what it has: a longer-lived token, a refusal, a cool-down."""
        asked_at = self._clock.monotonic()
        reading = self._store.read()
        if self._redis_away:
            self._redis_away = False
            log.info("token_store_back")
        self._cooling.learn(reading.trouble, at=asked_at)
        if self._cooling.left:
            self._look_at = asked_at + self._look_every
        record = reading.record
        if record is None:
            return
        generation = record.token.generation
        if record.retired:
            self._hand.give_up(generation)
            self._hand.redis_was_told(generation)
        elif self._hand.refused(generation):
            self._tell_refused(generation)
        else:
            self._hand.take(self._held(record, asked_at))

    def _tell_refused(self, generation: int) -> None:
        marked = self._store.retire(generation)
        self._hand.redis_was_told(generation)
        if marked:
            log.warning("token_retired", generation=generation)

    def _leave_redis_alone(self, error: BrokerUnavailable) -> None:
        self._redis_at = self._clock.monotonic() + _REDIS_REST
        if not self._redis_away:
            log.warning("token_store_away", reason=str(error))
        self._redis_away = True

    def _held(self, record: Record, asked_at: float) -> Held:
        """Count what the record has left from before Redis was asked: that can only be too short."""
        ends_at = asked_at + record.left.total_seconds()
        return held_until(ends_at, token=record.token, life=record.life, roll=self._rolls())

    def _unavailable(self) -> TokenUnavailable:
        trouble = self._cooling.trouble
        if trouble is None or not trouble.cooling:
            reason = f"no access token within {self._wait:g} s: a token call of another caller is still under way"
            return TokenUnavailable(reason, retry_after=_BUSY_RETRY)
        if trouble.kind is FailureKind.CREDENTIALS:
            return CredentialsRefused(trouble.reason, retry_after=trouble.cooling)
        return TokenUnavailable(trouble.reason, retry_after=trouble.cooling)

    def _state(self, held: Held | None, trouble: Trouble | None) -> TokenState:
        now = self._clock.monotonic()
        left = None if held is None else timedelta(seconds=max(0.0, held.ends_at - now))
        return TokenState(
            generation=None if held is None else held.token.generation,
            age=None if held is None or left is None else max(_ZERO, held.life - left),
            expires_in=left,
            refresh_in=None if held is None else timedelta(seconds=max(0.0, held.refresh_at - now)),
            scopes=frozenset() if held is None else held.token.scopes,
            cooling_for=_ZERO if trouble is None else trouble.cooling,
            problem=None if trouble is None else trouble.reason,
        )
