"""The canary: the API's own test call, made once when a channel becomes suspect, beside the sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from queue import Empty, SimpleQueue

from dispatcher.domain.errors import TokenUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.logs import get_logger
from dispatcher.ports import Token, TokenSource, Transport

log = get_logger(__name__)


def in_a_thread(run: Callable[[], None]) -> None:
    """Run something beside the caller; it does not keep the process from ending."""
    threading.Thread(target=run, name="canary", daemon=True).start()


@dataclass(slots=True, kw_only=True)
class Canary:
    """Runs test calls; the pump collects their outcomes."""

    spawn: Callable[[Callable[[], None]], None] = in_a_thread
    waiting: int = field(default=0, init=False)
    """Test calls whose outcome was not collected yet."""
    _outcomes: SimpleQueue[tuple[Channel, Outcome]] = field(default_factory=SimpleQueue, init=False)

    def start(self, channel: Channel, call: Callable[[], Outcome]) -> None:
        """Start a test call; returns at once."""
        self.waiting += 1
        self.spawn(lambda: self._outcomes.put((channel, call())))

    def outcomes(self) -> Iterator[tuple[Channel, Outcome]]:
        """Yield the outcomes of the test calls that have completed."""
        while self.waiting:
            try:
                outcome = self._outcomes.get_nowait()
            except Empty:
                return
            self.waiting -= 1
            yield outcome


def call_canary(transport: Transport, tokens: TokenSource, token: Token, *, scope: str) -> Outcome:
    """Make the API's test call; if the token may be what is refused, make it again with a new one. Never raises."""
    outcome = None
    try:
        outcome = transport.probe(token)
        if outcome.kind is OutcomeKind.UNAUTHORIZED or outcome.http_status == HTTPStatus.FORBIDDEN:
            tokens.retire(token.generation)
            outcome = transport.probe(tokens.token(scope))
    except TokenUnavailable as trouble:
        return outcome or Outcome(kind=OutcomeKind.NOT_SENT, error=str(trouble))
    except Exception as error:  # an outcome must come, for the pump waits for it
        log.exception("canary_broken")
        return Outcome(kind=OutcomeKind.NOT_SENT, error=type(error).__name__)
    return outcome
