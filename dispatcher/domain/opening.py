"""When a send window opens for a number: its zones, and the zones that a short window has to leave out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dispatcher.domain.window import SendWindow
from dispatcher.domain.zones import narrower


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The first time that a window is open in all zones that it is applied to."""

    zones: tuple[str, ...]
    """Empty where the window names its own zone."""
    left_out: tuple[str, ...]
    """Zones that the number may be in all the same: the window is never open in every zone at once."""
    opens_at: datetime
    closes_at: datetime


def first_opening(window: SendWindow, zones: tuple[str, ...], *, start: datetime, end: datetime) -> Opening | None:
    """Return the first opening that begins in a span; None if there is none.

    Where a number may be in several zones, the window has to be open in each. If it never is in that span, some zones
    are left out: as few people as possible, and no more than one in eight.

    :param zones: all that a number may be in; ignored if the window names its own.
    :param start: aware, when sending may begin.
    :param end: aware, when messages expire.
    """
    if window.zone is not None:
        return _opening(window, (), (), start, end)
    for kept in (zones, *narrower(zones)):
        found = _opening(window, kept, tuple(zone for zone in zones if zone not in kept), start, end)
        if found is not None:
            return found
    return None


def _opening(
    window: SendWindow, zones: tuple[str, ...], left_out: tuple[str, ...], start: datetime, end: datetime
) -> Opening | None:
    interval = window.interval(start, zones, before=end)
    if interval is None:
        return None
    return Opening(zones=zones, left_out=left_out, opens_at=max(start, interval[0]), closes_at=interval[1])
