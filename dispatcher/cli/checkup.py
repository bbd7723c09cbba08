"""The walk of `dispatcher check`: one link of the chain after the other; what hangs on a broken one is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.table import Table
from rich.text import Text

from dispatcher.cli.screen import inert, inert_lines
from dispatcher.domain.errors import DispatcherError
from dispatcher.ports import Token
from dispatcher.wiring import Services


class Mark(StrEnum):
    """What a step came to."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


_STYLES = {Mark.OK: "green", Mark.WARNING: "bold yellow", Mark.FAULT: "bold red", Mark.SKIPPED: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One link of the chain, as it was found."""

    name: str
    mark: Mark
    found: str
    advice: str | None = None
    """What to do about it."""


class Trouble(Exception):
    """A link is not as it should be: what was found, and what to do."""

    def __init__(self, found: str, advice: str | None, *, mark: Mark = Mark.FAULT) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice
        self.mark = mark


def warning(found: str, advice: str) -> Trouble:
    """Make the trouble of a link that holds, but not for everything."""
    return Trouble(found, advice, mark=Mark.WARNING)


@dataclass(slots=True, kw_only=True)
class Walk:
    """The walk under way: the services, and what earlier steps found for later ones."""

    services: Services
    token: Token | None = None
    redis: dict[str, str] = field(default_factory=dict)
    """What Redis says about itself (INFO)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of the chain: how to look at it, and on which other link it hangs."""

    name: str
    look: Callable[[Walk], str]
    """Says what was found; raises Trouble, or any error of ours, if that is not as it should be."""
    needs: str | None = None
    asks_api: bool = False
    """It calls the API, or hangs on a link that does."""
    fixed: bool = False
    """It stays as it is while a container runs, so a health check need not spend time on it."""


def take(links: Sequence[Link], walk: Walk) -> Iterator[Step]:
    """Look at each link in turn."""
    broken: set[str] = set()
    for link in links:
        step = skipped(link) if link.needs in broken else _looked_at(link, walk)
        if step.mark in (Mark.FAULT, Mark.SKIPPED):
            broken.add(link.name)
        yield step


def skipped(link: Link) -> Step:
    """Return the step that was not taken."""
    return Step(name=link.name, mark=Mark.SKIPPED, found=f"skipped: {link.needs} comes first")


def _looked_at(link: Link, walk: Walk) -> Step:
    try:
        return Step(name=link.name, mark=Mark.OK, found=link.look(walk))
    except Trouble as trouble:
        return Step(name=link.name, mark=trouble.mark, found=trouble.found, advice=trouble.advice)
    except (DispatcherError, OSError) as error:
        return Step(name=link.name, mark=Mark.FAULT, found=str(error))


def table(steps: Sequence[Step]) -> Table:
    """Lay the steps out: the mark, the link, what was found, and below it what to do."""
    laid = Table.grid(padding=(0, 2, 0, 0))
    laid.add_column(no_wrap=True)
    laid.add_column(no_wrap=True)
    laid.add_column(overflow="fold")
    for step in steps:
        told = Text(inert_lines(step.found.removeprefix("skipped: ")))
        if step.advice is not None:
            told.append(f"\n→ {inert(step.advice)}", style="bold" if step.mark is Mark.FAULT else "")
        word = step.mark.value.upper() if step.mark is Mark.FAULT else step.mark.value
        laid.add_row(Text(word, style=_STYLES[step.mark]), step.name, told)
    return laid


def summary(faults: int, warnings: int) -> Text:
    """Say in one line what it comes to."""
    told = {0: "Everything that sending needs is there", 1: "1 fault"}.get(faults, f"{faults} faults")
    warned = {0: "", 1: "; 1 warning"}.get(warnings, f"; {warnings} warnings")
    return Text(f"{told}{warned}.", style="bold red" if faults else "bold")
