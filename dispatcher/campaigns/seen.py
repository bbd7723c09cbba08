"""Who was there before, among millions, in a few megabytes: a temporary table that spills to disk by itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence


class Seen:
    """Remembers numbers.

    >>> seen = Seen()
    >>> seen.add(["+61491570006", "+61491570156", "+61491570006"])
    [True, True, False]
    >>> seen.add(["+61491570156"])
    [False]
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)  # a private file that vanishes with the connection
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16000"):
            self._table.execute(f"PRAGMA {pragma}")
        self._table.execute("CREATE TABLE seen (number INTEGER PRIMARY KEY)")

    def add(self, recipients: Sequence[str]) -> list[bool]:
        """Remember numbers in E.164, and say for each, in order, whether it is new."""
        numbers = [int(recipient[1:]) for recipient in recipients]
        known = {
            row[0]
            for row in self._table.execute(
                "SELECT seen.number FROM json_each(?) AS given JOIN seen ON seen.number = given.value",
                (json.dumps(numbers),),
            )
        }
        fresh, new = [], []
        for number in numbers:
            fresh.append(number not in known)
            if number not in known:
                known.add(number)
                new.append((number,))
        self._table.execute("BEGIN")
        self._table.executemany("INSERT INTO seen VALUES (?)", new)
        self._table.execute("COMMIT")
        return fresh

    def close(self) -> None:
        """Forget everything."""
        self._table.close()
