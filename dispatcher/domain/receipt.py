"""What an application gets back: the id under which its message stands in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload
from uuid import UUID

from dispatcher.domain.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that a message is in the ledger (once the transaction has committed)."""

    id: UUID
    state: State
    duplicate: bool
    """The key was used before for the same content: this is the earlier message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many messages of a stream were new and how many had been enqueued before."""

    enqueued: int
    duplicates: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.enqueued + self.duplicates


class Receipts(Sequence[Receipt]):
    """The receipts of a stream in its order, kept in 18 bytes each, so that a million fit in memory with ease.

    >>> receipts = Receipts()
    >>> receipts.append(Receipt(id=UUID(int=7), state=State.QUEUED, duplicate=False))
    >>> receipts[0].id, receipts.counts
    (UUID('00000000-0000-0000-0000-000000000007'), Counts(enqueued=1, duplicates=0))
    """

    _STATES = tuple(State)
    _WIDTH = 18

    def __init__(self) -> None:
        self._packed = bytearray()
        self._duplicates = 0

    def append(self, receipt: Receipt) -> None:
        """Add the next receipt."""
        self._packed += receipt.id.bytes
        self._packed += bytes((self._STATES.index(receipt.state), receipt.duplicate))
        self._duplicates += receipt.duplicate

    @property
    def counts(self) -> Counts:
        """How many were new, how many had been enqueued before."""
        return Counts(enqueued=len(self) - self._duplicates, duplicates=self._duplicates)

    def __len__(self) -> int:
        return len(self._packed) // self._WIDTH

    def __iter__(self) -> Iterator[Receipt]:
        return (self._unpack(position) for position in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Receipt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Receipt]: ...
    def __getitem__(self, index: int | slice) -> Receipt | list[Receipt]:
        if isinstance(index, slice):
            return [self._unpack(position) for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} receipts, so none at {index}")
        return self._unpack(index % len(self))

    def __repr__(self) -> str:
        return f"<{len(self)} receipts, {self._duplicates} of them duplicates>"

    def _unpack(self, position: int) -> Receipt:
        packed = self._packed[position * self._WIDTH : (position + 1) * self._WIDTH]
        return Receipt(id=UUID(bytes=bytes(packed[:16])), state=self._STATES[packed[16]], duplicate=bool(packed[17]))
