"""Everything that can stop a caller, as one rooted tree. Outcomes of a send are values, never exceptions.

DispatcherError
├── InvalidMessage          a field of a message is wrong; nothing was written
├── IdempotencyConflict     the key was used before, for other content
├── InvalidCampaign         the file, the template, the window or another part of a campaign is wrong
├── CampaignConflict        the name belongs to another campaign
├── CampaignNotFound        no campaign has this id or name
├── CampaignRefused         the campaign is not in a state that allows this
├── QueryError              a query cannot be read
├── OperationNotFound       no bulk operation has this id
├── OperationRefused        the operation is not in a state that allows this
├── MessageNotFound         no message has this id
├── TransitionRefused       the message is not in a state that allows this
├── InstallationError       a package that is needed is missing or cannot be loaded
├── SettingsError           a setting is missing, unknown or contradicts another
├── LedgerUnavailable       the SQL ledger cannot do it now: it is away, locked, full or read-only
├── LedgerOutdated          its schema is not at the migration head
├── SettlementRefused       the ledger refuses the values of an answer
├── BrokerUnavailable       Redis cannot be reached
└── TokenUnavailable        no usable access token now; nothing was sent
    ├── CredentialsRefused  client id or secret is wrong
    └── ScopeMissing        the token was granted without a scope that the channel needs
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID


class DispatcherError(Exception):
    """Root of every error that this package raises on purpose."""


class InvalidMessage(DispatcherError, ValueError):
    """A field of a message is wrong. ``field`` names it, ``problem`` says what would be right.

    ``detail`` is the part of the problem that belongs to this one value: a place in it, the form that would be right.
    ``fault`` is the problem without it, equal for all values with the same fault, so that they can be counted.
    ``position`` is the place (from 0) in the iterable given to ``send_many``, else None.
    """

    def __init__(self, field: str, fault: str, *, detail: str = "", position: int | None = None) -> None:
        self.field = field
        self.fault = fault
        self.detail = detail
        self.problem = f"{fault}: {detail}" if detail else fault
        self.position = position
        where = "" if position is None else f"message {position}: "
        super().__init__(f"{where}{field}: {self.problem}")

    def at(self, position: int) -> InvalidMessage:
        """Return the same error with the message's position in the stream."""
        return InvalidMessage(self.field, self.fault, detail=self.detail, position=position)


class IdempotencyConflict(DispatcherError):
    """The idempotency key belongs to a message with other content, so this one was not enqueued."""

    def __init__(self, key: str, existing: UUID, *, position: int | None = None) -> None:
        self.key = key
        self.existing = existing
        self.position = position
        super().__init__(
            f"idempotency_key: {key!r} already belongs to message {existing} with other content; "
            "use a new key for new content, or send the same content again"
        )


class InvalidCampaign(DispatcherError, ValueError):
    """A part of a campaign is wrong; nothing was loaded. ``field`` names it, ``problem`` says what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class QueryError(DispatcherError, ValueError):
    """A query cannot be read. ``position`` (from 0) is where in its text."""

    def __init__(self, problem: str, position: int) -> None:
        self.problem = problem
        self.position = position
        super().__init__(f"query: at character {position + 1}: {problem}")


class PrivateSearch(QueryError):
    """A query asks for what is masked, such as a number, where that is not allowed."""


class CampaignConflict(DispatcherError):
    """Another campaign has this name, so this one was not made."""

    def __init__(self, name: str, existing: UUID, differs: str) -> None:
        self.name = name
        self.existing = existing
        super().__init__(
            f"name: {name!r} already belongs to campaign {existing}, whose {differs} is another; give a new name"
        )


class CampaignNotFound(DispatcherError, LookupError):
    """No campaign has this id or name."""

    def __init__(self, asked: object) -> None:
        self.asked = asked
        super().__init__(f"no campaign has the id or name {asked}; `dispatcher campaign list` shows them")


class CampaignRefused(DispatcherError):
    """The campaign is not in a state that allows what was asked."""

    def __init__(self, name: str, state: str, asked: str, *, allowed: str) -> None:
        self.state = state
        super().__init__(f"campaign {name!r} is {state}, so it cannot be {asked}; {allowed}")


class OperationNotFound(DispatcherError, LookupError):
    """No bulk operation has this id."""

    def __init__(self, asked: object) -> None:
        self.asked = asked
        super().__init__(f"no operation has the id {asked}; `dispatcher operations list` shows them")


class OperationRefused(DispatcherError):
    """The operation is not in a state that allows what was asked."""

    def __init__(self, operation_id: UUID, state: str, asked: str) -> None:
        self.state = state
        super().__init__(f"operation {operation_id} is {state}, so it cannot become {asked}")


class MessageNotFound(DispatcherError, LookupError):
    """No message has this id."""

    def __init__(self, message_id: object) -> None:
        self.message_id = message_id
        super().__init__(f"no message has the id {message_id}; `dispatcher messages list` shows the newest")


class TransitionRefused(DispatcherError):
    """The message is not in a state that allows what was asked."""

    def __init__(self, message_id: UUID, state: str, asked: str, *, allowed: str) -> None:
        self.message_id = message_id
        self.state = state
        super().__init__(f"message {message_id} is {state}, so it cannot be {asked}; {allowed}")


class NotPermitted(DispatcherError):
    """The person's role does not include the action; ``role`` is the one that does."""

    def __init__(self, role: str) -> None:
        super().__init__(f'this needs the role "{role}"')
        self.role = role


class SettingsError(DispatcherError):
    """Settings are missing, unknown or contradict one another; the text names each."""


class InstallationError(DispatcherError):
    """A package that is needed is missing or cannot be loaded. The text has the command that installs it."""


class LedgerUnavailable(DispatcherError):
    """The ledger cannot do it now: it is away, locked, full or read-only. The same call may succeed later.

    ``locked`` says that another session holds a lock that was waited for.
    """

    def __init__(self, reason: str, *, locked: bool = False) -> None:
        self.locked = locked
        super().__init__(reason)


class LedgerOutdated(DispatcherError):
    """The ledger's schema is not the one that this version works with."""

    def __init__(self, found: str | None, wanted: str) -> None:
        self.found = found
        self.wanted = wanted
        have = f"at revision {found}" if found else "empty"
        super().__init__(f"the ledger is {have}, this version needs revision {wanted}: run `dispatcher migrate`")


class SettlementRefused(DispatcherError):
    """The ledger refuses the values of an answer: settling it again fails every time."""


class BrokerUnavailable(DispatcherError):
    """Redis cannot be reached; what is in the ledger is safe and goes out once it is back."""


class TokenUnavailable(DispatcherError):
    """No usable access token now. ``retry_after`` says when asking again makes sense."""

    def __init__(self, reason: str, *, retry_after: timedelta) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(reason)


class CredentialsRefused(TokenUnavailable):
    """The API refused the client id or secret: correct DISPATCHER_CLIENT_ID and DISPATCHER_CLIENT_SECRET."""


class ScopeMissing(TokenUnavailable):
    """The token was granted without ``scope``, which the channel needs."""

    def __init__(self, scope: str, granted: frozenset[str], *, retry_after: timedelta) -> None:
        self.scope = scope
        self.granted = granted
        have = " ".join(sorted(granted)) or "none"
        super().__init__(
            f"the API granted no scope {scope!r} (granted: {have}); "
            "ask the provider for it or add it to DISPATCHER_SCOPES",
            retry_after=retry_after,
        )
