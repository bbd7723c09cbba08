"""One token call and what follows from it: the new token, or the failure, for the whole fleet or for this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.logs import get_logger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.oauth.cooling import Cooling
from dispatcher.oauth.hand import Hand, Held, held_until
from dispatcher.oauth.mint import Mint
from dispatcher.oauth.store import TokenStore
from dispatcher.oauth.token import Minted, MintFailed, Trouble, trouble_after, trusted
from dispatcher.ports import Clock, Token

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minting:
    """Mints, and sees to it that the outcome reaches those whom it concerns."""

    store: TokenStore
    mint: Mint
    hand: Hand
    cooling: Cooling
    clock: Clock
    rolls: Callable[[], float]
    meter: Meter = Unmeasured()

    def for_all(self, owner: str) -> Held | None:
        """Mint as the holder of the lock, which this frees; the token, or the cool-down, is the fleet's.

        :return: a good token that Redis did not take, because the lock had passed to another or the reply was lost:
            whether to use it depends on what Redis has by now. None if there is no such token.
        :raises BrokerUnavailable: Redis did not take a failure; this process cools down by itself.
        """
        started = self.clock.monotonic()
        try:
            answer = self.mint()
        except BaseException:
            self.store.lock.release(owner)
            raise
        if isinstance(answer, MintFailed):
            self._fail(owner, self._trouble(answer, shared=True))
            return None
        ends_at = started + trusted(answer.lifetime).total_seconds()
        try:
            generation = self.store.keep(owner, answer, trusted=self._life(ends_at))
        except BrokerUnavailable:
            generation = None
        if generation is None:
            return self._held(answer, self.hand.private_generation(), ends_at, shared=False)
        self.hand.keep(self._held(answer, generation, ends_at, shared=True))
        return None

    def alone(self) -> None:
        """Mint for this process only, which then uses the token, or cools down, by itself."""
        started = self.clock.monotonic()
        answer = self.mint()
        if isinstance(answer, MintFailed):
            self.cooling.learn(self._trouble(answer, shared=False), at=self.clock.monotonic())
            return
        ends_at = started + trusted(answer.lifetime).total_seconds()
        self.hand.keep(self._held(answer, self.hand.private_generation(), ends_at, shared=False))

    def _fail(self, owner: str, trouble: Trouble) -> None:
        try:
            if not self.store.fail(owner, trouble):
                return  # another process has the lock by now: what it finds out counts
        except BrokerUnavailable:
            self.cooling.learn(trouble, at=self.clock.monotonic())
            raise
        self.cooling.learn(trouble, at=self.clock.monotonic())

    def _held(self, minted: Minted, generation: int, ends_at: float, *, shared: bool) -> Held:
        self.cooling.learn(None, at=self.clock.monotonic())
        log.info(
            "token_minted",
            generation=generation,
            shared=shared,
            lifetime_s=minted.lifetime.total_seconds(),
            taken_ms=round(minted.taken / timedelta(milliseconds=1)),
            scopes=sorted(minted.scopes),
        )
        if minted.oddities:
            log.warning("token_answer_odd", oddities=list(minted.oddities))
        self.meter.token_minted()
        token = Token(value=minted.value, generation=generation, scopes=minted.scopes)
        return held_until(ends_at, token=token, life=self._life(ends_at), roll=self.rolls())

    def _trouble(self, failed: MintFailed, *, shared: bool) -> Trouble:
        trouble = trouble_after(failed, self.cooling.trouble, roll=self.rolls())
        log.warning(
            "token_mint_failed",
            kind=trouble.kind.value,
            reason=trouble.reason,
            http_status=failed.http_status,
            count=trouble.count,
            cooling_s=trouble.cooling.total_seconds(),
            shared=shared,
        )
        self.meter.token_refused()
        return trouble

    def _life(self, ends_at: float) -> timedelta:
        return timedelta(seconds=ends_at - self.clock.monotonic())
