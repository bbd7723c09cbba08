"""Which fault strikes when: drawn from the seed alone, so that the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults.chaos.faults import Fault, catalogue
from tests.faults.chaos.world import Stack

QUIET_S = 4.0
"""For so long nothing strikes at first, so that there is something to disturb."""
_LONG_S = 300.0
"""A run of so long takes its time, so that more of its traffic meets one trouble alone."""


@dataclass(frozen=True, slots=True, order=True)
class Strike:
    """One fault at one time."""

    at: float
    """Seconds after the start."""
    number: int
    fault: Fault = field(compare=False)
    lasts: float = field(compare=False)
    seed: int = field(compare=False)
    """For what is left to chance in it, such as its victim."""


def draw(stack: Stack, *, seed: int, seconds: float) -> list[Strike]:
    """Draw a plan: every fault of the catalogue once, in random order, then every one again, while there is time."""
    dice = random.Random(f"{stack.value}-{seed}")
    faults = catalogue(stack)
    free_at: dict[str, float] = {}
    strikes: list[Strike] = []
    at = QUIET_S
    for number, fault in enumerate(_shuffled(faults, dice)):
        lasts = dice.uniform(fault.least, fault.most)
        starts = max(at, free_at.get(fault.area, 0.0) if fault.area else 0.0)
        if at > seconds:
            break
        if starts <= seconds:
            strikes.append(Strike(starts, number, fault, lasts, dice.randrange(1 << 30)))
            if fault.area:
                free_at[fault.area] = starts + lasts + 0.5
        at += dice.uniform(0.5, 2.5) * (1.0 if seconds < _LONG_S else 2.0)
    return sorted(strikes)


def _shuffled(faults: Sequence[Fault], dice: random.Random) -> Iterator[Fault]:
    while True:
        yield from dice.sample(faults, len(faults))
