"""Exit codes, and which error ends with which: a contract, scripts rely on it."""

from __future__ import annotations

import sys
from enum import IntEnum

from dispatcher.domain.errors import (
    CampaignConflict,
    CampaignNotFound,
    CampaignRefused,
    DispatcherError,
    IdempotencyConflict,
    InvalidCampaign,
    InvalidMessage,
    MessageNotFound,
    NotPermitted,
    OperationNotFound,
    OperationRefused,
    QueryError,
    SettingsError,
    TransitionRefused,
)


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOTHING_MATCHED = 3
    REFUSED = 4
    INTERRUPTED = 130
    """As a shell reports SIGINT."""


class Refused(DispatcherError):
    """The command will not do this without being told more plainly; nothing was changed."""


class WrongUsage(DispatcherError):
    """Options that contradict each other, or a value that an option cannot have."""


def exit_code(error: DispatcherError) -> Exit:
    """Return the exit code of an error.

    >>> exit_code(InvalidMessage("body", "is empty")), exit_code(DispatcherError("Redis is away"))
    (<Exit.USAGE: 2>, <Exit.FAILED: 1>)
    """
    match error:
        case InvalidMessage() | InvalidCampaign() | QueryError() | SettingsError() | WrongUsage():
            return Exit.USAGE
        case MessageNotFound() | CampaignNotFound() | OperationNotFound():
            return Exit.NOTHING_MATCHED
        case (
            IdempotencyConflict()
            | NotPermitted()
            | OperationRefused()
            | CampaignConflict()
            | CampaignRefused()
            | TransitionRefused()
            | Refused()
        ):
            return Exit.REFUSED
        case _:
            return Exit.FAILED


def complain(text: str) -> None:
    """Tell on stderr what went wrong: one line for each fault, plain text, so that logs and pipes can hold it."""
    from dispatcher.cli.screen import inert

    for line in text.splitlines() or [""]:
        print(f"error: {inert(line)}", file=sys.stderr)
