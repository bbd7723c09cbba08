"""The sandbox: a faithful stand-in for the provider's API, with faults on demand and a journal of what reached it.

It imports nothing of the dispatcher, so it cannot share the dispatcher's mistakes. Run it with
`python -m dispatcher.sandbox`, or from a test:

    with running_sandbox(SandboxSettings(rate_limit="50/s")) as sandbox:
        sandbox.fault(path="/sendSMS", action="cut_after_accepting", times=3)
        ...  # point a dispatcher at sandbox.url
        assert sandbox.summary()["carried_out"]["sms"] == 1000

Importing this loads only the standard library; aiohttp is loaded by `serve`, or by the process that is started.
"""

from collections.abc import Callable

from dispatcher.sandbox.control import (
    JournalEntry,
    SandboxControl,
    SandboxNotStarted,
    SandboxRefused,
    running_sandbox,
)
from dispatcher.sandbox.faults import FaultRule, parse_rule
from dispatcher.sandbox.settings import SandboxSettings, SettingRefused

__all__ = [
    "FaultRule",
    "JournalEntry",
    "SandboxControl",
    "SandboxNotStarted",
    "SandboxRefused",
    "SandboxSettings",
    "SettingRefused",
    "parse_rule",
    "running_sandbox",
    "serve",
]


def serve(
    settings: SandboxSettings, *, rules: tuple[FaultRule, ...] = (), ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once, with the base URL.

    Raises:
        CannotListen: the address is taken, or not this machine's (an OSError).
        JournalUnreadable: the journal file cannot be used (a ValueError).
    """
    # Imported late: aiohttp is an extra, and those who only steer a sandbox need none of it.
    from dispatcher.sandbox import server

    server.serve(settings, rules=rules, ready=ready)
