"""Pruning: what is old and settled is removed and redacted, step by step, at a pace that leaves room for traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from dispatcher.domain.retention import Ages, Pruned
from dispatcher.ledger import By, RetentionBooks
from dispatcher.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What prunes the ledger. All methods raise LedgerUnavailable when the ledger is away."""

    books: RetentionBooks
    clock: Clock
    actor: str

    def foresee(self, ages: Ages) -> Pruned:
        """Count what a run would do now: it reads what a run reads, and changes nothing."""
        found, removed_before = Pruned(), None
        for act, before in ages.due(self.clock.now()):
            for ids in self.books.found(act, before, but_for=removed_before):
                found = found.plus(act, len(ids))
            removed_before = before  # what is removed is not redacted any more
        return found

    def run(
        self, ages: Ages, *, reason: str | None, limit: int | None = None, per_second: float | None = None
    ) -> Iterator[Pruned]:
        """Prune, and yield after each step what the run has come to. Whoever stops listening ends it there.

        After each step it rests for as long as the step took: others get at least half of the ledger's time.

        :param limit: messages that it changes at the most.
        :param per_second: messages a second, no faster; None: as fast as that allows.
        """
        by = By(actor=self.actor, reason=reason, now=self.clock.now())
        run = self.books.begin(ages, by)
        done = Pruned()
        for act, before in ages.due(by.now):
            for ids in self.books.found(act, before):
                for start in range(0, len(ids), self.books.step_size):
                    step = ids[start : start + self.books.step_size]
                    if limit is not None:
                        step = step[: limit - done.total]
                    began, had = self.clock.monotonic(), done.total
                    done = self.books.step(run, act, step, before=before, done=done)
                    yield done
                    if done.total == limit:
                        return
                    took = self.clock.monotonic() - began
                    paced = 0.0 if per_second is None else (done.total - had) / per_second - took
                    self.clock.sleep(timedelta(seconds=max(took, paced)))
        self.books.finish(run, done)
