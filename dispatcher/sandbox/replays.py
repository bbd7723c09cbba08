"""What a provider that honours Idempotency-Key remembers: what each key first asked for, and what it got.

The provider's documentation does not promise this, so it is off until a setting turns it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.sandbox.content import CONTENT_FIELDS, Content
from dispatcher.sandbox.journal import Journal
from dispatcher.sandbox.refusal import Refusal


@dataclass(frozen=True, slots=True)
class _First:
    provider_id: str
    content: int


class Replays:
    """The first answer of every key, separately for each kind."""

    def __init__(self, journal: Journal) -> None:
        self._first: dict[tuple[str, str], _First] = {}
        for entry in journal.carried_out():
            if entry["idempotency_key"] is not None and entry["recipient"] is not None:
                details = {name: entry[name] for name in CONTENT_FIELDS if name in entry}
                self.remember(
                    entry["kind"],
                    entry["idempotency_key"],
                    Content(entry["recipient"], details),
                    entry["provider_id"],
                )

    def remember(self, kind: str, key: str, content: Content, provider_id: str) -> None:
        """Keep what `key` asked for, unless it asked before."""
        self._first.setdefault((kind, key), _First(provider_id, _fingerprint(content.recipient, content.details)))

    def find(self, kind: str, key: str, content: Content) -> str | None:
        """The provider id that `key` got before, None where it is new.

        Raises:
            Refusal: 422 where the key came before with other content.
        """
        first = self._first.get((kind, key))
        if first is None:
            return None
        if first.content != _fingerprint(content.recipient, content.details):
            raise Refusal(422, "idempotency_key_reused", "this Idempotency-Key came before with other content")
        return first.provider_id


def _fingerprint(recipient: str, details: Mapping[str, str]) -> int:
    return hash((recipient, *sorted(details.items())))
