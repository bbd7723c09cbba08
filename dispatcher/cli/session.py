"""What a command works with: the settings, quiet logs, the services, and who is acting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dispatcher.cli.exits import WrongUsage

if TYPE_CHECKING:
    from dispatcher.admin import OperatorService
    from dispatcher.ledger import By
    from dispatcher.wiring import Services


@contextmanager
def open_ledger() -> Iterator[Services]:
    """Give the services, once the ledger has been seen to be at this version's schema.

    :raises SettingsError: a setting is missing, unknown or contradicts another.
    :raises LedgerUnavailable: the ledger cannot be reached.
    :raises LedgerOutdated: it is not at the migration head.
    """
    from dispatcher.ledger import require_head

    with open_services() as services:
        require_head(services.engine)
        yield services


@contextmanager
def open_services() -> Iterator[Services]:
    """Give the services; none of them has been reached yet."""
    from dispatcher.ledger import PATIENT
    from dispatcher.settings import load_settings
    from dispatcher.telemetry import configure_logs, silence_logs
    from dispatcher.wiring import Services, secure_home

    settings = load_settings()
    # A command says itself what went wrong; only who debugs wants to hear it twice.
    if settings.log_level == "DEBUG":
        configure_logs("DEBUG")
    else:
        silence_logs()
    secure_home(settings)
    services = Services(settings, deadlines=PATIENT)
    try:
        yield services
    finally:
        services.close()


@contextmanager
def open_operator() -> Iterator[OperatorService]:
    """Give the use cases of the person who types; raises as ``open_ledger`` does."""
    with open_ledger() as services:
        yield services.operator(actor())


def by(services: Services, reason: str | None) -> By:
    """Say who acts, for the audit trail."""
    from dispatcher.ledger import By

    return By(actor=actor(), reason=reason, now=services.clock.now())


def actor() -> str:
    """Name who types, for the audit trail."""
    from dispatcher.client import acting_as

    return acting_as("cli")


def stated(reason: str) -> str:
    """Return a reason that says something.

    :raises WrongUsage: it is blank.
    """
    if not reason.strip():
        raise WrongUsage("--reason: is empty; say why in a few words, it is kept in the audit trail")
    return reason.strip()
