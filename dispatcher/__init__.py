"""Send SMS and gift cards through one remote HTTP API: say "send this" and forget it.

    application ── enqueue ──► LEDGER (SQL): one row, in the caller's own transaction      client, ledger
                                  │  after commit: ring the bell (a small Celery task)     broker
                                  ▼
    worker: permits ─► token ─► claim ─► POST ─► classify ─► decide ─► settle              engine
            limits     oauth    ledger   gateway  gateway    domain    ledger
                                  ▲
    clock: every second: due retries, lost leases, expiry, campaigns, bulk operations      engine.tick

    a file of recipients ── checked, in pages ──► rows of a campaign                       campaigns
    people ── one query language, plans, durable operations ──► rows again                 admin, cli, web

The ledger is the queue and the truth; Celery moves the work between machines; Redis holds only what can be rebuilt.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

_OLDEST = (3, 11)
"""As in ``requires-python``. This module alone must be readable by older versions, so that they can say so."""
if sys.version_info < _OLDEST:
    _found = "{} is {}.{}".format(sys.executable, *sys.version_info[:2])
    _problem = "dispatcher needs Python {}.{} or newer, {}: python3.11 -m venv .venv".format(*_OLDEST, _found)
    if sys.argv and os.path.basename(sys.argv[0]) in ("-m", "dispatcher"):
        sys.exit("error: " + _problem)
    raise ImportError(_problem)

if TYPE_CHECKING:
    from dispatcher.client import Dispatcher
    from dispatcher.domain.errors import IdempotencyConflict
    from dispatcher.domain.message import Gift, Sms
    from dispatcher.domain.receipt import Receipt

__all__ = ["Dispatcher", "Gift", "IdempotencyConflict", "Receipt", "Sms"]

_HOMES = {
    "Dispatcher": "dispatcher.client",
    "Gift": "dispatcher.domain.message",
    "IdempotencyConflict": "dispatcher.domain.errors",
    "Receipt": "dispatcher.domain.receipt",
    "Sms": "dispatcher.domain.message",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the sandbox and `dispatcher --help` need none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dispatcher' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
