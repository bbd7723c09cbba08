"""Time-ordered identifiers (UUIDv7), so that ids made on many machines sort by the moment they were made."""

from __future__ import annotations

from collections.abc import Callable
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


def uuid7_run(unix_ms: int, first: int, entropy: bytes) -> list[str]:
    """Build UUIDv7s as texts that sort in their order, one for each 8 bytes of entropy.

    The 12 bits behind the time count (RFC 9562, section 6.2, method 1); after 4096 the time goes on by a millisecond.

    :param first: how many of the run were built before.

    >>> uuid7_run(1_645_557_742_000, 4095, bytes(16))
    ['017f22e2-79b0-7fff-8000-000000000000', '017f22e2-79b1-7000-8000-000000000000']
    """
    ids = []
    for start in range(0, len(entropy), 8):
        number = first + start // 8
        time = f"{unix_ms + (number >> 12):012x}"
        rest = f"{int.from_bytes(entropy[start : start + 8]) & (1 << 62) - 1 | 1 << 63:016x}"
        ids.append(f"{time[:8]}-{time[8:]}-7{number & 0xFFF:03x}-{rest[:4]}-{rest[4:]}")
    return ids


def parse_id(text: str | UUID, *, missing: Callable[[str], Exception]) -> UUID:
    """Return the id that a text holds. A text that is no id names nothing.

    :param missing: makes the error to raise then, for example ``MessageNotFound``.

    >>> parse_id("017f22e2-79b0-7fff-8000-000000000000", missing=LookupError)
    UUID('017f22e2-79b0-7fff-8000-000000000000')
    """
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except ValueError:
        raise missing(repr(text)) from None
