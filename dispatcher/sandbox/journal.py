"""What reached the provider and what came of it: the record that tests are judged by.

Each entry is kept as the line of JSON that it is served and filed as, so a million of them stay small and cost
the garbage collector nothing. What the summary needs is counted as entries come.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.sandbox.journal_file import JournalFile

KINDS = ("sms", "gift", "token", "probe", "replayed", "other")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request that reached the provider: begun when it arrives, filled in as it is checked, then recorded once.

    Until it is filled in it says the least: not carried out, nothing answered.
    """

    at: float
    """When it arrived, in unix seconds."""
    kind: str
    path: str
    carried_out: bool = False
    status: int | None = None
    """What was answered; None where nothing was, or no HTTP."""
    fault: str | None = None
    recipient: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    """`message` of an SMS; `sku`, `amount`, `currency` and `note` of a gift."""
    idempotency_key: str | None = None
    provider_id: str | None = None
    jti: str | None = None
    client_id: str | None = None


class Repeats:
    """Counts what came more than once, without keeping a counter for each thing that came once."""

    def __init__(self) -> None:
        self._once: set[str] = set()
        self.counts: dict[str, int] = {}

    def add(self, thing: str) -> None:
        """Count one more of `thing`."""
        if thing in self._once:
            self.counts[thing] = self.counts.get(thing, 1) + 1
        else:
            self._once.add(thing)


class Journal:
    """The entries in order of arrival, numbered from 1, and their counts."""

    def __init__(self, path: Path | None = None) -> None:
        self._clear()
        self._file = None if path is None else JournalFile(path)
        if self._file is not None:
            for line, entry in self._file.read():
                self._restore(line, entry)

    @property
    def next_seq(self) -> int:
        """The number that the next entry gets."""
        return len(self._lines) + 1

    def record(self, entry: Entry) -> None:
        """Put an entry behind those there are."""
        line = _line(self.next_seq, entry)
        self._lines.append(line)
        self._kinds.append(KINDS.index(entry.kind))
        self._count(entry)
        if self._file is not None:
            self._file.append(line)

    def page(self, after: int, limit: int, kind: str | None = None) -> tuple[list[str], int]:
        """Up to `limit` entries with a number above `after`, as JSON, and the number to go on after."""
        if kind is None:
            lines = self._lines[after : after + limit]
            return lines, after + len(lines)
        lines, wanted = [], KINDS.index(kind)
        for index in range(after, len(self._lines)):
            if self._kinds[index] == wanted:
                lines.append(self._lines[index])
                if len(lines) == limit:
                    return lines, index + 1
        return lines, max(after, len(self._lines))

    def carried_out(self) -> Iterator[dict[str, Any]]:
        """Every entry that was carried out, in order."""
        return (entry for entry in map(json.loads, self._lines) if entry["carried_out"])

    def summary(self) -> dict[str, Any]:
        """The totals; see `/_sandbox/summary` in the OpenAPI document."""
        totals: dict[str, Any] = {"kind": {}, "status": {}, "carried_out": {}, "not_carried_out": {}}
        for (kind, status, carried_out), count in self._totals.items():
            answered = "none" if status is None else str(status)
            effect = "carried_out" if carried_out else "not_carried_out"
            for group, name in (("kind", kind), ("status", answered), (effect, kind)):
                totals[group][name] = totals[group].get(name, 0) + count
        return {
            "entries": len(self._lines),
            "by_kind": totals["kind"],
            "by_status": totals["status"],
            "carried_out": totals["carried_out"],
            "not_carried_out": totals["not_carried_out"],
            "token_requests": totals["kind"].get("token", 0),
            "recipients_carried_out_more_than_once": {kind: each.counts for kind, each in self._recipients.items()},
            "keys_carried_out_more_than_once": self._keys.counts,
            "most_in_one_second": {kind: max(counts.values()) for kind, counts in self._seconds.items()},
        }

    def reset(self) -> None:
        """Forget everything, and empty the file."""
        self._clear()
        if self._file is not None:
            self._file.empty()

    def flush(self) -> None:
        """Write what is not yet in the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write what is not yet in the file, and leave it."""
        if self._file is not None:
            self._file.close()

    def _clear(self) -> None:
        self._lines: list[str] = []
        self._kinds = bytearray()
        self._totals: dict[tuple[str, int | None, bool], int] = {}
        self._recipients = {"sms": Repeats(), "gift": Repeats()}
        self._keys = Repeats()
        self._seconds: dict[str, dict[int, int]] = {}

    def _restore(self, line: str, filed: Mapping[str, Any]) -> None:
        entry = Entry(
            at=filed["at"],
            kind=filed["kind"],
            path=filed["path"],
            carried_out=filed["carried_out"],
            status=filed["status"],
            recipient=filed["recipient"],
            idempotency_key=filed["idempotency_key"],
        )
        self._lines.append(line)
        self._kinds.append(KINDS.index(entry.kind))
        self._count(entry)

    def _count(self, entry: Entry) -> None:
        total = (entry.kind, entry.status, entry.carried_out)
        self._totals[total] = self._totals.get(total, 0) + 1
        second = int(entry.at)
        for kind in (entry.kind, "any"):
            counts = self._seconds.setdefault(kind, {})
            counts[second] = counts.get(second, 0) + 1
        if entry.carried_out and entry.recipient is not None:
            self._recipients[entry.kind].add(entry.recipient)
            if entry.idempotency_key is not None:
                self._keys.add(entry.idempotency_key)


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _line(seq: int, entry: Entry) -> str:
    return _encode(
        {
            "seq": seq,
            "at": entry.at,
            "kind": entry.kind,
            "path": entry.path,
            "carried_out": entry.carried_out,
            "status": entry.status,
            "fault": entry.fault,
            "recipient": entry.recipient,
            **entry.details,
            "idempotency_key": entry.idempotency_key,
            "provider_id": entry.provider_id,
            "jti": entry.jti,
            "client_id": entry.client_id,
        }
    )
