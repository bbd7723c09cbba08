"""The suspicion that a channel is misconfigured, as one process sees it: what ``report.lua`` does, without Redis."""

from __future__ import annotations

import math
from datetime import timedelta
from uuid import UUID

from dispatcher.domain.identity import MessageId
from dispatcher.domain.suspicion import LATELY, RENEW_AGAIN, Blame, Suspicion
from dispatcher.ports import ChannelReport, Standing, Witness

_MOST = 100
"""Witnesses beyond this need not be told apart."""


class LocalSuspicion:
    """The witnesses that this process met since it last had a message accepted. ``now`` is in monotonic seconds."""

    def __init__(self, *, trial_timeout: timedelta = timedelta(seconds=2)) -> None:
        self._trial_timeout = trial_timeout.total_seconds()
        self._witnesses: set[MessageId] = set()
        self._campaigns: set[UUID | None] = set()
        self._trial_until = -math.inf
        self._renewing = False
        self._renewed: int | None = None
        self._renewed_at = -math.inf
        self._accepted_at = -math.inf
        self._canary_failed = False
        self._answer: str | None = None

    @property
    def suspicion(self) -> Suspicion:
        """How far the suspicion goes."""
        campaign = next(iter(self._campaigns)) if len(self._campaigns) == 1 else None
        return Suspicion(witnesses=len(self._witnesses), canary_failed=self._canary_failed, campaign=campaign)

    def report(self, report: ChannelReport, *, now: float) -> Standing:
        """Take in what a batch of answers says and return where the channel stands."""
        cleared = bool(report.accepted and self._witnesses)
        if report.accepted:
            self._accepted_at = now
            self.clear()
        guesses = {witness.message: self._guess(witness, now) for witness in report.witnesses}
        if report.canary is None:
            self.free()
        elif self._witnesses and not report.canary and self._canary_failed:
            self.clear()
            cleared = True
        elif self._witnesses and report.canary and report.canary == self._answer:
            self._canary_failed = True
        return Standing(suspicion=self.suspicion, guesses=guesses, cleared=cleared)

    @property
    def one_at_a_time(self) -> bool:
        """Whether the channel is suspect, or its token was renewed and it is not known yet whether that helps."""
        return bool(self._witnesses) or self._renewing

    def may_try(self, *, now: float) -> bool:
        """Return whether a message may be tried on the suspect channel now, and begin its trial."""
        if now < self._trial_until:
            return False
        self._trial_until = now + self._trial_timeout
        return True

    def free(self) -> None:
        """End the trial under way."""
        self._trial_until = -math.inf

    def clear(self) -> None:
        """Drop the suspicion."""
        self._witnesses.clear()
        self._campaigns.clear()
        self._canary_failed, self._answer, self._renewing = False, None, False
        self.free()

    def _guess(self, witness: Witness, now: float) -> Blame:
        """Attribute one answer, as if the suspicion did not hold."""
        if (of_the_token := self._of_the_token(witness, now)) is not None:
            return of_the_token
        if not self._witnesses or witness.alone:
            self._answer = witness.answer
            self._campaigns.add(witness.campaign)
            if len(self._witnesses) < _MOST:
                self._witnesses.add(witness.message)
            return Blame.MESSAGE
        return Blame.MESSAGE if now - self._accepted_at < LATELY.total_seconds() else Blame.UNCLEAR

    def _of_the_token(self, witness: Witness, now: float) -> Blame | None:
        """Attribute it to a token that was not renewed yet: once in a while, since a firewall's 403 does not end."""
        if witness.generation is None:
            return None
        if self._renewed is not None and now - self._renewed_at < RENEW_AGAIN.total_seconds():
            return Blame.OLD_TOKEN if witness.generation <= self._renewed else None
        self._renewed, self._renewed_at, self._renewing = witness.generation, now, True
        return Blame.TOKEN
