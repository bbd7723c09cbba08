"""What clocks do in a walk of the model, each by its own time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from dispatcher.domain.attempt import Settlement
from dispatcher.engine import Tick
from dispatcher.ledger import bulk
from tests.faults.walk.world import STEP, Watched, World


class Beats(World):
    """Clocks: they sweep, expire, advance campaigns and go on with operations; time passes."""

    def sweep(self, n: int, _pick: int, _more: int) -> None:
        tick = self.ticks[n]
        lost = self.model.lost(tick.clock.now())
        assert {each.message_id for each in self._watch(tick, tick._sweep)} == lost

    def _watch(self, tick: Tick, what: Callable[[], object]) -> list[Settlement]:
        watched = tick.ledger
        assert isinstance(watched, Watched)
        watched.batches = []
        what()
        found = [each for batch in watched.batches for each in batch]
        for batch in watched.batches:
            self.model.settle(batch)
        self.stale = [*self.stale, *found][-12:]
        return found

    def look_for_lost(self, n: int, _pick: int, _more: int) -> None:
        """A clock that is stopped between its look and its settling settles late."""
        tick = self.ticks[n]
        lost = tick.ledger.lost_leases(now=tick.clock.now(), limit=100)
        assert {each.id for each in lost} == self.model.lost(tick.clock.now())
        self.stale = [*self.stale, *(tick._give_up(each) for each in lost)][-12:]

    def beat(self, n: int, _pick: int, _more: int) -> None:
        tick = self.ticks[n]
        now = tick.clock.now()
        self.model.expire(now)
        self.model.advance(now)
        for each in sorted(self.model.bulks.values(), key=lambda each: each.id):
            while self.model.step(each, now, size=STEP):
                pass
        lost = self.model.lost(now)
        assert {each.message_id for each in self._watch(tick, tick.run)} == lost

    def expire(self, n: int, _pick: int, _more: int) -> None:
        tick = self.ticks[n]
        assert tick.ledger.expire(now=tick.clock.now(), limit=100) == self.model.expire(tick.clock.now())

    def step(self, n: int, pick: int, _more: int) -> None:
        tick, known = self.ticks[n], list(self.model.bulks.values())
        chosen = known[pick % len(known)]
        changed = bulk.step(self.engines[n], chosen.id, now=tick.clock.now())
        assert changed == self.model.step(chosen, tick.clock.now(), size=STEP)

    def time_passes(self, n: int, _pick: int, more: int) -> None:
        rarely = [600, 3500, 25 * 3600, 74 * 3600, 70, 70][more % 6]
        self.common.advance(timedelta(seconds=rarely if n == 2 else [1, 7, 30, 61, 65, 70, 70, 90][more % 8]))
