"""Time-ordered identifiers (UUIDv7), so that ids made on many machines sort by the moment they were made."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

MessageId = NewType("MessageId", UUID)
AttemptId = NewType("AttemptId", UUID)
LeaseToken = NewType("LeaseToken", UUID)

ENTROPY_BITS = 74
"""How many random bits a UUIDv7 holds beside its 48-bit time (RFC 9562, section 5.7)."""


def uuid7(unix_ms: int, entropy: int) -> UUID:
    """Build a UUIDv7 (RFC 9562, section 5.7) of a time in milliseconds and 74 random bits.

    >>> uuid7(1_645_557_742_000, 0xCC3 << 62 | 0x18C4DC0C0C07398F)
    UUID('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
    """
    high, low = entropy >> 62 & 0xFFF, entropy & (1 << 62) - 1
    return UUID(int=(unix_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
