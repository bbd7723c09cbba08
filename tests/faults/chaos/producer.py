"""An application that enqueues, in a process of its own, and writes down every receipt that it was given.

    python -m tests.faults.chaos.producer FILE PREFIX SEED PER_SECOND

It runs until it is killed. What it meant to send and has no receipt for, it sends again with the same key.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from dispatcher import Dispatcher, Gift, Receipt, Sms
from dispatcher.domain.errors import LedgerUnavailable

_KEEP_TRYING_S = 0.2
POISON, UNKNOWN_SKU = "${jndi:", "GONE"
"""What the API refuses whatever else goes well: a text that its firewall knows, a sku that it does not."""
_POISONOUS = 0.005
"""Share of messages that the API refuses for what they say."""


def recipient(dice: random.Random) -> str:
    """Return a valid Australian mobile."""
    return f"+614{dice.randrange(11_000_000, 14_000_000):08d}"


class Producer:
    """Sends one thing after the other."""

    def __init__(self, client: Dispatcher, prefix: str, dice: random.Random, book: TextIO) -> None:
        self._client, self._prefix, self._dice, self._book = client, prefix, dice, book
        self._count = 0

    def run(self, per_second: float) -> None:
        """Send for ever."""
        while True:
            began, sent = time.monotonic(), self._send()
            time.sleep(max(0.0, sent / per_second - (time.monotonic() - began)))

    def _send(self) -> int:
        roll = self._dice.random()
        if roll < 0.55:
            return self._note(self._until_taken(self._one()))
        if roll < 0.8:
            gift = self._gift()
            return self._note(self._until_taken(lambda: [self._client.send_gift(**gift)]))
        page: list[Sms | Gift] = [self._sms() for _ in range(self._dice.randint(2, 30))]
        page += [Gift(**self._gift()) for _ in range(self._dice.randint(0, 3))]
        return self._note(self._until_taken(lambda: self._client.send_many(page)))

    def _one(self) -> Callable[[], Sequence[Receipt]]:
        text, due = self._sms(), None
        if self._dice.random() < 0.1:
            due = datetime.now(UTC) + timedelta(seconds=self._dice.uniform(0, 4))
        return lambda: [
            self._client.send_sms(text.recipient, text.body, idempotency_key=text.idempotency_key, due_at=due)
        ]

    def _until_taken(self, send: Callable[[], Sequence[Receipt]]) -> Sequence[Receipt]:
        """Send, and again with the same keys while the ledger does not answer: so no application needs to lose any."""
        while True:
            try:
                return send()
            except LedgerUnavailable:
                time.sleep(_KEEP_TRYING_S)

    def _note(self, receipts: Sequence[Receipt]) -> int:
        for receipt in receipts:
            self._book.write(json.dumps({"id": str(receipt.id), "duplicate": receipt.duplicate}) + "\n")
        self._book.flush()
        return len(receipts)

    def _sms(self) -> Sms:
        body = f"text {self._key()}{POISON if self._dice.random() < _POISONOUS else ''}"
        return Sms(recipient=recipient(self._dice), body=body, idempotency_key=self._key(step=1))

    def _gift(self) -> dict[str, Any]:
        key = self._key(step=1)
        return {
            "recipient": recipient(self._dice),
            "sku": UNKNOWN_SKU if self._dice.random() < _POISONOUS else "CARD",
            "amount": "10",
            "currency": "AUD",
            "idempotency_key": key,
        }

    def _key(self, *, step: int = 0) -> str:
        self._count += step
        return f"{self._prefix}-{self._count}"


def main() -> None:
    """Run one."""
    path, prefix, seed, per_second = sys.argv[1:]
    with open(path, "a", encoding="ascii") as book, Dispatcher.from_env() as client:
        Producer(client, prefix, random.Random(seed), book).run(float(per_second))


if __name__ == "__main__":
    main()
