"""Counts what was tried on each surface and what came of it, and bounds how long a single input may take."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import FrameType

import requests
from hypothesis import HealthCheck, Phase, settings

FACTOR = float(os.environ.get("FUZZ_EXAMPLES", "0.1"))
"""How many inputs to try, as a multiple of what each test names: a tenth at every commit, `make fuzz` more."""
PATIENCE_S = 1.0
"""Processor time that reading one text may take; time on the wall would count what else the machine does."""


class Fate(StrEnum):
    """What may come of an input. Only the first two are right."""

    ACCEPTED = "accepted"
    REFUSED = "refused by name"
    CRASHED = "crashed"
    HUNG = "hung"
    HALF = "half a row left"


class Hung(AssertionError):
    """An input took longer than it may."""


class HalfARow(AssertionError):
    """Something was refused, yet part of it was written."""


@dataclass(slots=True)
class Trial:
    """One input."""

    refusal: BaseException | None = None
    refused: bool = False

    def refuse(self) -> None:
        """Note that it was refused in an answer rather than by an exception."""
        self.refused = True

    @property
    def accepted(self) -> bool:
        """Whether it was taken."""
        return not self.refused and self.refusal is None


@dataclass(slots=True)
class Tally:
    """What was tried so far, by surface."""

    counts: dict[str, Counter[Fate]] = field(default_factory=dict)

    @contextmanager
    def trying(
        self, surface: str, *refusals: type[Exception], within: float = PATIENCE_S, unnamed: bool = False
    ) -> Iterator[Trial]:
        """Try one input; what is raised of ``refusals`` is a refusal, anything else is a crash.

        :param within: seconds of processor time.
        :param unnamed: a refusal need not say what is wrong.
        """
        trial, fates = Trial(), self.counts.setdefault(surface, Counter())
        try:
            with _bounded(within):
                yield trial
        except Hung:
            fates[Fate.HUNG] += 1
            raise
        except requests.Timeout as slow:
            fates[Fate.HUNG] += 1
            raise Hung(f"{surface}: no answer") from slow
        except HalfARow:
            fates[Fate.HALF] += 1
            raise
        except refusals as refusal:
            trial.refusal = refusal
            if not unnamed and not re.search(r"\w \w", str(refusal)):
                fates[Fate.CRASHED] += 1
                raise AssertionError(f"{refusal!r} does not say what is wrong") from refusal
        except BaseException as error:
            fates[Fate.CRASHED] += type(error).__name__ not in _HYPOTHESIS
            raise
        if trial.refusal is None and not trial.refused:
            fates[Fate.ACCEPTED] += 1
        else:
            fates[Fate.REFUSED] += 1

    def add(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add what another process counted."""
        for surface, fates in counts.items():
            self.counts.setdefault(surface, Counter()).update({Fate(name): count for name, count in fates.items()})

    def half(self, surface: str, what: str) -> HalfARow:
        """Count one that was refused and of which something is left; raise what this returns."""
        self.counts.setdefault(surface, Counter())[Fate.HALF] += 1
        self.counts[surface][Fate.REFUSED] -= 1
        return HalfARow(what)

    def table(self) -> str:
        """Return the counts as a table in Markdown."""
        lines = [f"| surface | inputs tried | {' | '.join(Fate)} |", f"|---{'|--:' * (len(Fate) + 1)}|"]
        everything = sum(self.counts.values(), Counter[Fate]())
        for surface, fates in [*sorted(self.counts.items()), ("**all**", everything)]:
            numbers = [sum(fates.values()), *(fates[fate] for fate in Fate)]
            lines.append(f"| {surface} | {' | '.join(f'{number:,}' for number in numbers)} |")
        return "\n".join(lines)


TALLY = Tally()
_HYPOTHESIS = ("UnsatisfiedAssumption", "StopTest", "Frozen")
"""How Hypothesis itself gives an input up: it was none."""


def examples(count: int, *, shrink: bool = True) -> settings:
    """Return settings for so many inputs, times ``FUZZ_EXAMPLES``.

    :param shrink: look for the smallest input that fails; not where each takes long.
    """
    return settings(
        max_examples=max(1, round(count * FACTOR)),
        deadline=None,
        phases=[phase for phase in Phase if shrink or phase is not Phase.shrink],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Interrupt what burns more processor time than that, even inside of a regular expression."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Hung(f"it took more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    began = time.thread_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    if time.thread_time() - began > seconds:
        raise Hung(f"it took more than {seconds:g} s of processor time")
